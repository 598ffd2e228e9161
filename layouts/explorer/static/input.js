/** What is asked: the expression, its shapes and values, and the variable to differentiate by. */

import { append, el, fill, fresh, set, times } from "./dom.js";
import { shapeOf } from "./state.js";
import { numbers } from "./view.js";

const OWN = "own";
const PAUSE = 500;
// Tables of more values are not edited by hand.
const MOST_EDITED = 200;

/**
 * @param {object} options
 * @param {((name: string, body: object) => Promise<any>)|null} options.request null offline
 * @param {(part: object) => void} options.asked with the part of the state that changes
 */
export function makeInput({ request, asked }) {
  const ids = { gallery: fresh("gallery"), expression: fresh("expression"), error: fresh("error") };
  const gallery = el("select", { id: ids.gallery });
  const expression = el("input", {
    id: ids.expression, type: "text", autocomplete: "off", autocapitalize: "off", spellcheck: "false",
    "aria-describedby": ids.error, placeholder: "relu(W @ X + b)",
  });
  const draw = el("button.primary", { type: "submit" }, "Draw");
  const operands = el("div.operands", { role: "group", "aria-label": "Variables: shapes, and which one to differentiate by" });
  const question = el("p.hint.why");
  const error = el("div.error", { id: ids.error, role: "alert", hidden: true });
  const values = el("div.values", { hidden: true });
  const form = el(
    "form.question",
    { "aria-label": "The function" },
    el(
      "div.ask",
      {},
      el("div", {}, el("label", { for: ids.gallery }, "Gallery"), gallery),
      el("div", {}, el("label", { for: ids.expression }, "Function"), expression),
      draw,
    ),
    error, question, operands, values,
  );
  const input = { root: form, cards: [], rows: [], state: null, view: null, edited: "" };

  input.offer = ({ rows, functions }) => {
    input.rows = [...rows, ...functions];
    const group = (label, list) => list.length ? el("optgroup", { label }, list.map((row) => el("option", { value: key(row.source) }, row.title))) : null;
    fill(gallery, el("option", { value: OWN }, "your own expression"), group("Gallery", rows), group("Your functions", functions));
    if (input.state) input.follow(input.state);
  };

  /** Follow the state: after a choice, after back and forward. */
  input.follow = (state) => {
    input.state = state;
    const row = rowOf(input.rows, state);
    gallery.value = chosen(state);
    const text = state.kind === "expression" ? state.of : row?.expression ?? state.of;
    expression.value = text;
  };

  input.use = (view, state) => {
    input.view = view;
    input.state = state;
    if (!request && state.kind !== "expression") expression.value = view.function.text;
    fill(question, view.question);
    set(question, { hidden: !view.question });
    show(view.inputs.map(({ name, shape }) => ({ name, shape: shape.join("x") })), view.wrt, new Set(), view.differentiable);
    if (input.edited) edit(input.edited);
  };

  input.fail = (message) => {
    set(error, { hidden: !message });
    set(expression, { "aria-invalid": message ? "true" : null });
    fill(error, message);
  };
  input.busy = (is) => fill(draw, is ? "Drawing…" : "Draw");

  const show = (names, wrt, proposed, able = null) => {
    if (input.cards.length === names.length && names.every(({ name }, n) => input.cards[n].name === name)) {
      names.forEach(({ shape }, n) => {
        const box = input.cards[n].box;
        if (document.activeElement !== box) box.value = shape;
        input.cards[n].pick(names[n].name === wrt, !able || able.includes(names[n].name));
      });
    } else {
      const group = fresh("wrt");
      input.cards = names.map(({ name, shape }) => card(name, shape, name === wrt, group, !able || able.includes(name)));
      fill(operands, input.cards.map(({ root }) => root), redraw);
    }
    for (const one of input.cards) set(one.box, { title: proposed.has(one.name) ? "a proposal: change it if you like" : null });
  };

  const redraw = el("button.edit", { type: "button", on: { click: () => ask({ seed: (input.state.seed + 1) % 1000000, values: {} }) } }, "New values");

  const card = (name, shape, picked, group, able) => {
    const box = el("input.shape", { type: "text", value: shape, "aria-label": `Shape of ${name}`, size: 6, placeholder: "scalar", autocomplete: "off", on: { change: () => ask({}) } });
    const radio = el("input", { type: "radio", name: group, value: name, on: { change: () => ask({ wrt: name, pin: null }) } });
    const by = el("span.name", {}, name);
    const open = el("button.edit.quiet", { type: "button", "aria-expanded": "false", "aria-label": `Values of ${name}`, on: { click: () => edit(input.edited === name ? "" : name) } }, "Values");
    const root = el("div.operand", {}, el("label.by", { title: `differentiate by ${name}` }, radio, el("span.sr", {}, "differentiate by "), by), box, request ? open : null);
    const pick = (is, enabled) => {
      radio.checked = is;
      set(radio, { disabled: !enabled || !request });
      root.classList.toggle("chosen", is);
    };
    if (!request) set(box, { disabled: true });
    pick(picked, able);
    return { root, box, name, radio, pick, open };
  };

  /** A table of an input's values; each is a box. */
  const edit = (name) => {
    if (!name) input.table = null;
    input.edited = name;
    for (const one of input.cards) set(one.open, { "aria-expanded": String(one.name === name) });
    const array = input.view?.inputs.find((one) => one.name === name);
    set(values, { hidden: !array });
    if (!array) return;
    const of = `${name} ${array.shape}`;
    if (of === input.table?.of) { // what is being typed stays
      input.table.boxes.forEach((box, n) => box !== document.activeElement && (box.value = String(Number(array.values[n]))));
      return;
    }
    input.table = null;
    if (!array.values || array.size > MOST_EDITED) {
      fill(values, el("p.hint", {}, `${name} is ${times(array.shape)}: arrays of up to ${MOST_EDITED} entries are edited here.`));
      return;
    }
    const found = numbers(array.values);
    const columns = array.shape.at(-1) ?? 1;
    const boxes = Array.from(found, (_, n) =>
      el("input", {
        type: "text", inputmode: "decimal", value: String(found[n]),
        "aria-label": `${name}[${Array.from(indices(array.shape, n)).join(",")}]`,
        on: { change: (event) => changed(array.name, n, event.target) },
      }));
    input.table = { of, boxes };
    const rows = Array.from({ length: Math.max(1, found.length / columns) }, (_, row) =>
      el("tr", {}, el("th", { scope: "row" }, row), Array.from({ length: columns }, (_, column) => el("td", {}, boxes[row * columns + column]))));
    fill(values, el("table", { "aria-label": `Values of ${name}` }, rows));
  };

  const changed = (name, n, box) => {
    const value = Number(box.value.trim().replaceAll("−", "-"));
    if (box.value.trim() === "" || (Number.isNaN(value) && box.value.trim() !== "NaN")) {
      input.fail(`${box.getAttribute("aria-label")}: expected a number, got "${box.value}"`);
      return;
    }
    const { values: shown } = input.view.inputs.find((one) => one.name === name);
    const asked = input.state.values[name]; // an edit whose answer is still to come
    const list = [...(asked?.length === shown.length ? asked : shown)];
    list[n] = Number.isFinite(value) ? value : String(value);
    ask({ values: { ...input.state.values, [name]: list } });
  };

  /** Ask for what stands in the form now. */
  const ask = (part) => {
    const typed = expression.value.trim();
    const row = input.state && rowOf(input.rows, input.state);
    const kept = row && row.expression === typed;
    const source = kept ? { kind: input.state.kind, of: input.state.of } : { kind: "expression", of: typed };
    const shapes = Object.fromEntries(input.cards.map(({ name, box }) => [name, box.value.trim()]));
    const own = kept && Object.entries(shapes).every(([name, shape]) => sameShape(shape, row.shapes[name]?.join("x")));
    const before = input.state?.shapes ?? {};
    const same = ([name]) => input.cards.some((one) => one.name === name) && sameShape(shapes[name], sizeOf(input.view, name) ?? before[name]);
    const values = Object.fromEntries(Object.entries(part.values ?? input.state?.values ?? {}).filter(same));
    const wrt = part.wrt ?? input.cards.find(({ radio }) => radio.checked)?.name ?? "";
    asked({ ...source, shapes: own ? {} : shapes, seed: part.seed ?? input.state?.seed ?? 0, wrt: wrt in shapes ? wrt : "", values, pin: "pin" in part ? part.pin : input.state?.pin ?? null });
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    clearTimeout(pause);
    await read();
    ask({});
  });
  gallery.addEventListener("change", () => {
    const row = input.rows.find(({ source }) => key(source) === gallery.value);
    if (!row) {
      expression.focus();
      expression.select();
      return;
    }
    expression.value = row.expression;
    input.edited = "";
    set(values, { hidden: true });
    asked({ kind: row.source.kind, of: row.source.name, shapes: {}, values: {}, seed: 0, wrt: "", pin: null, sizes: [], along: "", part: "", check: "" });
  });

  /** Ask which names an expression has, while it is typed. */
  let turn = 0;
  const read = async (keep = false) => {
    const text = expression.value.trim();
    const row = input.state && rowOf(input.rows, input.state);
    if (!request || !text || (row && row.expression === text)) return;
    const shapes = Object.fromEntries(input.cards.map(({ name, box }) => [name, shapeOf(box.value)]).filter(([, shape]) => shape));
    const mine = (turn += 1);
    try {
      const found = await request("read", { source: { kind: "expression", text }, shapes });
      if (mine !== turn || !found) return;
      if (!keep) input.fail("");
      gallery.value = OWN;
      const wrt = input.cards.find(({ radio }) => radio.checked)?.name;
      const typed = new Map(input.cards.map(({ name, box }) => [name, box.value]));
      const names = found.names.map((name) => ({ name, shape: found.shapes[name]?.join("x") ?? typed.get(name) ?? "" }));
      show(names, found.names.includes(wrt) ? wrt : found.names[0], new Set(found.proposed));
    } catch (problem) {
      if (mine !== turn) return;
      if (!keep) input.fail(problem.message);
    }
  };
  let pause = 0;
  expression.addEventListener("input", () => {
    clearTimeout(pause);
    pause = setTimeout(() => read(), PAUSE);
  });

  /** The shapes of what cannot be drawn, so that they can be mended. */
  input.recover = () => {
    if (!input.cards.length || !input.view) read(true);
  };
  if (!request) {
    form.classList.add("saved");
    for (const one of [gallery.parentNode, draw, redraw]) set(one, { hidden: true });
    set(expression, { readonly: true });
    append(form, [el("p.hint.why", {}, "This is a saved page: the function and its values stay as they were exported. Layouts, entries, derivation and graphs all work.")]);
  }
  return input;
}

const key = ({ kind, name }) => `${kind}:${name}`;
const chosen = ({ kind, of }) => (kind === "expression" ? OWN : `${kind}:${of}`);
const rowOf = (rows, { kind, of }) => rows.find(({ source }) => source.kind === kind && source.name === of);
const sizeOf = (view, name) => view?.inputs.find((one) => one.name === name)?.shape.join("x");
const sameShape = (one, other) => (shapeOf(one ?? "x") ?? "").toString() === (shapeOf(other ?? "x") ?? "-").toString();

function* indices(shape, flat) {
  let block = shape.reduce((product, size) => product * size, 1);
  for (const size of shape) {
    block /= size;
    yield Math.floor(flat / block) % size;
  }
}
