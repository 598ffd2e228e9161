/** One entry: its indices, formula and value, and what it is made of in the operands. */

import { short } from "./colours.js";
import { el, fill, fresh, math, set, thousands, times } from "./dom.js";
import { makeMap } from "./map.js";
import { cellOf, flatOf, litOf, numbers, plainPlacement } from "./view.js";

// The maps of larger operands have to be scrolled to what is lit.
const MOST = { height: 200, widest: 40, tallest: 22, seen: 500 };

/**
 * The panel of an entry.
 * @param {(index: number[]) => Promise<object|null>} ask the library for what the view does not hold; null offline
 * @param {() => void} release lets the pinned entry go
 */
export function makeEntry(ask, release) {
  const title = el("h2", { id: fresh("entry") }, "Entry");
  const free = el("button.quiet", { type: "button", hidden: true, on: { click: release } }, "Let go");
  const formula = el("div.at.mono", { "data-part": "formula" });
  const value = el("div.value", { "data-part": "value" });
  const facts = el("dl");
  const hint = el("p.hint.how", {}, "Point at the map; a click pins an entry, arrow keys move from one to the next.");
  const live = el("div.sr", { "aria-live": "polite", role: "status" });
  const grids = el("div.grids");
  const root = el(
    "section.panel.entry",
    { "aria-labelledby": title.id },
    el("div.caption", {}, title, free),
    formula, value, facts, hint, grids, live,
  );
  const panel = { root, view: null, maps: [], asked: 0 };

  panel.use = (view) => {
    panel.view = view;
    panel.maps = operands(view).map((array) => grid(array, grids));
    fill(grids, panel.maps.map(({ figure }) => figure));
    for (const { map, array, values } of panel.maps) if (values) map.show({ values, placement: plainPlacement(array.shape) });
  };

  /**
   * Show a cell.
   * @param {number} flat its place
   * @param {"hover"|"pin"|"example"} how
   */
  panel.show = (flat, how, arrangement, placement) => {
    const { view } = panel;
    const cell = cellOf(view, flat);
    fill(title, { hover: "Entry", pin: "Entry, pinned", example: "Entry, for example" }[how]);
    set(free, { hidden: how !== "pin" });
    set(hint, { hidden: how !== "example" });
    const turn = (panel.asked += 1);
    write(cell, cell.text);
    fill(facts, where(cell, flat, arrangement, placement));
    if (!cell.text && cell.whole && ask) {
      if (view.entries.request) {
        ask(cell.index).then((found) => found && turn === panel.asked && write(cell, found), (error) => turn === panel.asked && fill(value, error.message));
      }
    }
    if (how !== "example") announce();
  };

  const write = (cell, text) => {
    const { view } = panel;
    fill(formula, text?.formula ?? headOf(view, cell));
    const [number, why] = valueOf(cell, text);
    fill(value, number, why && el("span.hint", {}, ` ${why}`));
    const origins = text?.origins ?? [];
    light(panel, cell, origins);
  };

  let timer = 0;
  const announce = () => {
    clearTimeout(timer);
    timer = setTimeout(() => fill(live, `${formula.textContent}, ${value.textContent}. ${facts.dataset.said ?? ""}`), 160);
  };

  const where = (cell, flat, arrangement, placement) => {
    const { view } = panel;
    const unit = view.jacobian.cells.reduced ? " cells" : "";
    const place = placement
      ? `row ${placement.rowOf[flat]}, column ${placement.columnOf[flat]} of ${thousands(placement.rows)}×${thousands(placement.columns)}${unit}`
      : arrangement.note;
    facts.dataset.said = placement ? place : "";
    const names = [indexed(view, cell, "out"), indexed(view, cell, "in")];
    return [
      el("dt", {}, "of"), el("dd", {}, `${names[0]} by ${names[1]}`),
      el("dt", {}, "stands in"), el("dd", {}, place),
    ];
  };

  panel.refresh = () => panel.maps.forEach(({ map }) => map.refresh());
  return panel;
}

/** The inputs, the output, and what else the entries are made of. */
function operands(view) {
  const named = new Set((view.entries.template?.terms ?? []).flatMap((term) => term.origins.map(({ name }) => name)));
  return view.arrays.filter((array) => array.role !== "intermediate" || named.has(array.name));
}

function grid(array, host) {
  const values = numbers(array.values);
  const role = { input: "", output: "output, ", intermediate: "" }[array.role];
  const label = `${array.name}: ${role}${times(array.shape)}`;
  const map = makeMap({ label: `${label}, its values`, most: MOST, room: () => host.clientWidth });
  const what = array.role === "intermediate" && array.formula ? el("span.name", {}, math(array.formula.mathml, array.formula.text)) : el("span.name", {}, array.name);
  const caption = el("figcaption", {}, what, el("span", {}, `${role}${times(array.shape)}`));
  const figure = el("figure.grid", { "data-array": array.name }, caption, values ? map.root : el("p.hint", {}, `${thousands(array.size)} values, not shown`));
  return { figure, map, array, values };
}

function light({ view, maps }, cell, origins) {
  const outs = view.jacobian.out_shape.length;
  for (const { map, array, values } of maps) {
    if (!values) continue;
    const lit = litOf(array, origins);
    let cursor = -1;
    if (cell.whole && array.role === "output") cursor = flatOf(array.shape, cell.index.slice(0, outs));
    if (cell.whole && array.role === "input" && array.name === view.wrt) cursor = flatOf(array.shape, cell.index.slice(outs));
    map.mark({ lit, cursor });
    if (values.length > MOST.seen) map.reveal(lit[0] ?? cursor);
    map.name(`${array.name}, ${times(array.shape)}${lit.length ? `, lit: ${lit.slice(0, 6).map((n) => `${short(values[n])}`).join(", ")}` : ""}`);
  }
}

/** `D[1,2]`, with ranges where a cell stands for several. */
function indexed(view, { ranges }, side) {
  const axes = view.jacobian.axes.filter((axis) => axis.side === side);
  const name = side === "out" ? view.output.name : view.wrt;
  const parts = axes.map(({ number }) => (ranges[number][0] === ranges[number][1] ? ranges[number][0] : ranges[number].join("–")));
  return parts.length ? `${name}[${parts.join(",")}]` : name;
}

function headOf(view, cell) {
  return `∂${indexed(view, cell, "out")}/∂${indexed(view, cell, "in")}`;
}

/** The number, and what there is to say of it. */
function valueOf(cell, text) {
  if (text?.reason) return ["0", text.reason];
  if (!cell.allowed) return ["0", "zero by structure"];
  if (cell.value === null) return ["?", "not computed: the Jacobian is too large"];
  if (!cell.whole) return [short(cell.value, 6), "the largest of a block"];
  const value = text?.value === undefined ? cell.value : Number(text.value);
  return [short(value, 6), value === 0 ? "zero by value" : ""];
}
