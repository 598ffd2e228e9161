/** The page: what is asked, the map, one entry, and the tabs below. */

import { latestOf } from "./api.js";
import { makeCheck } from "./check.js";
import { short } from "./colours.js";
import { showDerivation } from "./derive.js";
import { el, fill, fresh, math, set, times } from "./dom.js";
import { makeEntry } from "./entry.js";
import { inverse } from "./geometry.js";
import { showGraphs } from "./graph.js";
import { makeInput } from "./input.js";
import { makeKeep } from "./keep.js";
import { makeMap } from "./map.js";
import { START, fromFragment, makeStore, sameQuestion, toFragment, toRequest } from "./state.js";
import { showLegend, showTable } from "./table.js";
import { makeTabs } from "./tabs.js";
import { makeWeigh } from "./trees.js";
import { makeTurn, sayArrangement } from "./turn.js";
import { arrangementOf, cellAt, cellOf, labelsOf, numbers, placementOf } from "./view.js";

/**
 * Put the explorer into an element.
 * @param {HTMLElement} root
 * @param {object} options
 * @param {((name: string, body: object) => Promise<any>)|null} options.request asks the library; null where only data are
 * @param {object|null} [options.data] a view's answer, or `{view, gallery}`
 * @param {boolean} [options.addressed] whether the page's address holds the state
 * @param {string} [options.state] where the address says nothing: a fragment
 */
export function mount(root, options) {
  const page = new Page(root, options);
  page.start();
  return page;
}

class Page {
  constructor(root, { request = null, data = null, addressed = false, state = "" }) {
    this.root = root;
    this.request = request;
    this.ask = request && latestOf(request);
    this.held = data?.view ?? (data?.jacobian ? data : null);
    this.gallery = data?.gallery ?? null;
    this.addressed = addressed;
    this.view = null;
    const first = fromFragment((addressed && location.hash) || state);
    this.store = makeStore(this.held ? { ...first, ...stateOf(this.held.state, first) } : first, addressed);
    this.build();
  }

  build() {
    const { root, ask, store } = this;
    root.classList.add("lx");
    const change = (part, how) => store.change(part, how);
    this.input = makeInput({ request: ask, asked: change });
    this.turn = makeTurn((part) => change(part));
    this.map = makeMap({ label: "The Jacobian", onHover: (entry) => this.point(entry), onPin: (entry) => this.pin(entry) });
    this.entry = makeEntry(ask && ((index) => ask("entry", { ...toRequest(store.get()), index })), () => this.pin(-1));
    this.check = makeCheck({ ask: ask && ((formula) => ask("check", { ...toRequest(store.get()), formula })), typed: (check) => change({ check }) });
    this.weigh = makeWeigh({
      chain: ask && ((sizes) => ask("chain", { sizes })),
      measure: ask && (() => ask("measure", toRequest(store.get()))),
      sized: (sizes) => change({ sizes }, "replace"),
      varied: (along) => change({ along }, "replace"),
    });
    this.keep = makeKeep({
      save: ask && (() => ask("export", toRequest(store.get()))),
      code: () => [this.view.code, this.arrangement.code].filter(Boolean).join("\n"),
      latex: () => this.view.latex,
      state: () => toFragment(store.get()),
      addressed: this.addressed,
      themed: (theme) => change({ theme }, "replace"),
    });
    this.read = el("div");
    this.graphs = el("div");
    this.tabs = makeTabs(
      [["read", "Derivation", this.read], ["graphs", "Branch and sum", this.graphs], ["weigh", "Order and cost", this.weigh.root], ["check", "Check a formula", this.check.root]],
      (tab) => change({ tab }, "replace"),
    );
    this.place();
  }

  place() {
    const main = fresh("main");
    this.said = el("div.said", { "data-part": "said" });
    this.head = el("div.caption");
    this.foot = el("dl.foot");
    this.readout = el("p.readout.mono", { "aria-hidden": "true" });
    this.legend = el("div.legend-row");
    this.notes = el("div");
    this.table = el("div");
    this.details = el("details", { on: { toggle: () => this.tabulate() } }, el("summary", {}, "The same as a table"), this.table);
    this.undefined = el("p.hint.none", { hidden: true });
    this.heard = el("p.sr", { role: "status" });
    const picture = el("section.panel.map", { "aria-label": "The Jacobian" }, this.head, this.map.root, this.undefined, this.readout, this.legend, this.notes, this.foot, this.details, this.heard);
    this.content = el("div.content", { hidden: true }, el("div.over", {}, this.said, this.turn.root), el("div.see", {}, picture, this.entry.root), this.tabs.nodes);
    this.waiting = el("p.waiting.first", { role: "status" }, "Computing the first Jacobian…");
    this.main = el("main", { id: main, tabindex: -1 }, this.input.root, this.waiting, this.content);
    fill(
      this.root,
      el("div.page", {}, el("header.head", {}, el("h1", {}, "layouts"), el("p.soft.tag", {}, "See, turn and touch a Jacobian"), this.keep.root), this.main),
    );
  }

  async start() {
    const { store } = this;
    store.onChange((state, before) => this.follow(state, before));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.repaint());
    this.theme(store.get());
    if (this.gallery) this.input.offer(this.gallery);
    if (this.held) {
      this.input.follow(store.get());
      this.use(this.held);
      return;
    }
    const { of } = store.get();
    if (of) this.load(); // beside the gallery
    try {
      this.gallery ??= await this.ask("gallery", {});
      this.input.offer(this.gallery);
      const { textbook } = store.get();
      if (textbook && !this.gallery.textbooks.some(({ name }) => name === textbook)) store.change({ textbook: "" }, "replace");
    } catch (error) {
      fill(this.waiting, error.message);
      set(this.waiting, { class: "error" });
      return;
    }
    if (!of) {
      const row = this.gallery.functions[0] ?? this.gallery.rows[0];
      store.change({ kind: row.source.kind, of: row.source.name }, "replace");
    }
  }

  follow(state, before) {
    if (state.theme !== before.theme) this.theme(state);
    if (!sameQuestion(state, before)) {
      this.load();
      return;
    }
    if (!this.view) return;
    const turned = ["layout", "vec", "textbook"].some((part) => state[part] !== before[part]);
    if (turned) this.arrange(true);
    if (state.pin !== before.pin) this.point(-1);
    if (turned) afterFrame(() => this.open());
    else if (state.tab !== before.tab) this.open();
    if (state.tab === "weigh" && before.sizes !== state.sizes && String(this.weigh.sizes) !== String(state.sizes)) this.weigh.use(this.view, state.sizes, state.along);
    if (state.tab === "graphs" && state.part !== before.part && state.part !== this.part) {
      this.opened.delete("graphs");
      this.open();
    }
    if (state.tab === "check" && state.check !== this.check.formula) this.check.use(this.view, state.check);
  }

  /** Ask for the view of the state; the old one stays, dimmed, until the answer is there. */
  async load() {
    const state = this.store.get();
    if (!this.ask) return;
    this.input.follow(state);
    this.input.busy(true);
    set(this.main, { "aria-busy": "true" });
    try {
      const view = await this.ask("view", toRequest(state));
      if (!view) return; // a later question is on its way
      this.input.fail("");
      this.use(view);
    } catch (error) {
      this.input.fail(error.message);
      this.input.recover();
      set(this.waiting, { hidden: true });
    }
    this.input.busy(false);
    set(this.main, { "aria-busy": null });
  }

  use(view) {
    const state = this.store.get();
    this.view = view;
    this.values = numbers(view.jacobian.cells.values);
    this.cells = cellsOf(view.jacobian.cells, this.values);
    showLegend(this.legend, view, this.values);
    this.input.use(view, state);
    set(this.content, { hidden: false });
    this.keep.ready(true);
    set(this.waiting, { hidden: true });
    fill(this.said, el("div.formula", {}, math(view.function.mathml, view.function.text)), el("div.formula", {}, math(view.jacobian.formula.mathml, view.jacobian.formula.text)));
    this.opened = new Set();
    this.entry.use(view);
    this.arrange(false);
    this.open();
    this.point(-1);
    if (this.addressed) document.title = `${view.jacobian.formula.text} · layouts`;
  }

  /** Write the Jacobian as the state says: map, shapes, formulas and the chain's order turn together. */
  arrange(move) {
    const { view } = this;
    const state = this.store.get();
    const arrangement = arrangementOf(view, state);
    this.arrangement = arrangement;
    this.turn.show(view, arrangement, state);
    sayArrangement(this.head, this.foot, view, arrangement);
    const { cells } = view.jacobian;
    const drawn = arrangement.defined && cells.shape.every((size) => size > 0);
    set(this.map.root, { hidden: !drawn });
    for (const one of [this.details, this.legend, this.readout]) set(one, { hidden: !drawn });
    set(this.undefined, { hidden: drawn });
    fill(this.undefined, arrangement.defined ? "There are no entries." : arrangement.note);
    this.placement = null;
    if (drawn) {
      this.placement = { ...placementOf(cells.shape, arrangement), axes: arrangement, labels: labelsOf(view.jacobian, arrangement) };
      this.map.show({ ...this.cells, placement: this.placement, move });
      this.map.name(`The Jacobian of ${view.output.name} by ${view.wrt}, ${arrangement.title}, ${this.placement.rows} rows and ${this.placement.columns} columns. A table follows.`);
      this.tabulate();
    }
    fill(this.notes, [cells.note, ...view.notes].filter(Boolean).map((note) => el("p.hint", {}, note)));
    if (move) fill(this.heard, `${arrangement.title}: ${drawn ? times(arrangement.shape) : this.undefined.textContent}`);
    this.point(-1);
  }

  /** Show the entry at hand, else the pinned one, else one for example. */
  point(entry) {
    const { view, map } = this;
    if (!view || !view.jacobian.cells.shape.every((size) => size > 0)) return;
    const { pin } = this.store.get();
    const pinned = pin ? cellAt(view, pin) : -1;
    const how = entry >= 0 ? "hover" : pinned >= 0 ? "pin" : "example";
    const shown = entry >= 0 ? entry : pinned >= 0 ? pinned : this.example();
    if (this.placement) map.mark({ cursor: entry, pinned, lit: how === "example" ? [shown] : [] });
    fill(this.readout, readout(view, shown));
    this.entry.show(shown, entry >= 0 && entry === pinned ? "pin" : how, this.arrangement, this.placement);
  }

  /** An entry that is not zero, off the first row and column where there are others. */
  example() {
    const { cells } = this.view.jacobian;
    const good = (n) => (!cells.structure || cells.structure[n] === "1") && (!this.values || this.values[n] !== 0);
    const count = cells.shape.reduce((product, size) => product * size, 1);
    for (let k = 0; k < count; k += 1) {
      const n = (Math.floor(count / 3) + k) % count;
      if (good(n)) return n;
    }
    return 0;
  }

  pin(entry) {
    if (entry < 0) this.store.change({ pin: null }, "replace");
    else {
      const cell = cellOf(this.view, entry);
      this.store.change({ pin: cell.index }, "replace");
    }
    this.point(entry);
  }

  /** Fill the tab that is open; the others wait until they are. */
  open() {
    const { tab, sizes, along, part, check } = this.store.get();
    this.tabs.choose(tab);
    const { view, arrangement } = this;
    this.weigh.turn(arrangement);
    const key = tab === "read" ? `read ${arrangement.layout}` : tab;
    if (this.opened.has(key)) return;
    for (const one of this.opened) if (one.startsWith("read ") && tab === "read") this.opened.delete(one);
    this.opened.add(key);
    if (tab === "read") showDerivation(this.read, view, arrangement, this.ask && (() => this.verify()));
    if (tab === "graphs") showGraphs(this.graphs, view, part, (pinned) => this.store.change({ part: (this.part = pinned) }, "replace"));
    if (tab === "weigh") this.weigh.use(view, sizes, along);
    if (tab === "check") this.check.use(view, check);
  }

  /** Show the derivation with its steps held against numbers. */
  async verify() {
    const { view } = this;
    const derivation = await this.ask("verify", toRequest(this.store.get()));
    if (!derivation || view !== this.view) return; // another function is drawn by now
    Object.assign(view, { derivation });
    this.opened.delete(`read ${this.arrangement.layout}`);
    this.open();
  }

  tabulate() {
    if (!this.details.open || !this.placement) return;
    showTable(this.table, this.view, { values: this.values, placement: this.placement, entryAt: inverse(this.placement) });
  }

  theme(state) {
    set(this.root, { "data-theme": state.theme || null });
    this.keep.theme(state.theme);
    this.repaint();
  }

  repaint() {
    if (!this.view) return;
    this.map.refresh();
    this.entry.refresh();
    showLegend(this.legend, this.view, this.values);
  }
}

/** Call once what is at hand has been drawn. */
function afterFrame(call) {
  requestAnimationFrame(() => setTimeout(call));
}

/** What the map shows: without values, the structure alone. */
function cellsOf({ shape, structure }, values) {
  const count = shape.reduce((product, size) => product * size, 1);
  const allowed = structure ? Uint8Array.from(structure, Number) : null;
  return { values: values ?? new Float64Array(count), allowed, known: values !== null };
}

/** The entry in one line, below the map where its panel is not beside it. */
function readout(view, flat) {
  const { text, value } = cellOf(view, flat);
  return [text?.formula, value === null ? null : short(value, 4)].filter(Boolean).join(" = ");
}

/** The page's state of a view's, where the address says nothing. */
function stateOf(said, first) {
  const { source, shapes, wrt } = said;
  const known = { kind: source.kind, of: source.text ?? source.name, wrt, seed: said.seed ?? 0, values: said.values ?? {} };
  known.shapes = Object.fromEntries(Object.entries(shapes ?? {}).map(([name, shape]) => [name, shape.join("x")]));
  if (first.layout === START.layout && first.vec === START.vec && !first.textbook) {
    Object.assign(known, { layout: said.layout, vec: said.vec, textbook: said.textbook ?? "" });
  }
  return known;
}
