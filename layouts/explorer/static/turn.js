/** The one switch: layout, vec order, textbook; and what it says of the arrangement chosen. */

import { el, fill, fresh, math, set, times } from "./dom.js";
import { sidesOf } from "./view.js";

const LAYOUTS = [["numerator", "Numerator"], ["denominator", "Denominator"], ["mixed", "Mixed"]];
const VECS = [["rows", "Rows"], ["columns", "Columns"]];

/**
 * @param {(part: {layout?: string, vec?: string, textbook?: string}) => void} turned
 */
export function makeTurn(turned) {
  // From a textbook one turns on from what it shows, not from what was chosen before it.
  const from = (part) => turned({ ...shown, ...part, textbook: "" });
  const layout = segments("Layout", LAYOUTS, (value) => from({ layout: value }));
  const vec = segments("vec, stacked by", VECS, (value) => from({ vec: value }));
  const id = fresh("textbook");
  const textbook = el("select", { id, on: { change: () => turned({ textbook: textbook.value }) } });
  const root = el(
    "div.switches",
    { role: "group", "aria-label": "How the derivative is written" },
    layout.root,
    vec.root,
    el("div.group", {}, el("label", { for: id }, "As in a textbook or tool"), textbook),
  );
  let listed = null;
  let shown = {};
  return {
    root,
    show(view, arrangement, state) {
      if (listed !== view.arrangements) {
        listed = view.arrangements;
        fill(textbook, el("option", { value: "" }, "none: the layout on the left"), books(view));
      }
      textbook.value = state.textbook;
      shown = Object.fromEntries(["layout", "vec"].map((part) => [part, arrangement[part] ?? state[part]]));
      layout.choose(arrangement.layout ?? "");
      vec.choose(arrangement.vec ?? "");
    },
  };
}

function books(view) {
  return view.arrangements
    .filter(({ kind }) => kind === "textbook")
    .map(({ textbook, title, defined }) => el("option", { value: textbook }, defined ? title : `${title} (no shape for this case)`));
}

/** Radio buttons that look like one bar. */
function segments(title, choices, chosen) {
  const name = fresh("segments");
  const inputs = choices.map(([value]) => el("input", { type: "radio", name, value, on: { change: () => chosen(value) } }));
  const labels = choices.map(([, text], n) => el("label", {}, inputs[n], el("span", {}, text)));
  const id = fresh("legend");
  const bar = el("div.segments", { role: "radiogroup", "aria-labelledby": id }, labels);
  const root = el("div.group", {}, el("span.legend", { id }, title), bar);
  return {
    root,
    choose(value) {
      for (const input of inputs) input.checked = input.value === value;
    },
  };
}

/**
 * The arrangement in words and formulas, which turn with the map.
 * @param {HTMLElement} head stands above the map
 * @param {HTMLElement} foot below it
 */
export function sayArrangement(head, foot, view, arrangement) {
  const sides = arrangement.defined ? sidesOf(view, arrangement) : null;
  fill(
    head,
    el("h2", {}, arrangement.defined ? times(arrangement.shape) : "No shape", arrangement.kronecker && el("span.kronecker", {}, arrangement.kronecker)),
    sides && el("p.hint", {}, side("row", sides.rows), side("column", sides.columns)),
  );
  const lines = [
    [arrangement.formula, "Written as"],
    [arrangement.chain, "In this order"],
  ].filter(([formula]) => formula);
  fill(
    foot,
    lines.map(([formula, title]) => [el("dt", {}, title), el("dd", {}, math(formula.mathml, formula.text))]),
    note(arrangement),
  );
  set(foot, { hidden: !foot.childNodes.length });
}

function side(word, said) {
  return said ? el("span", {}, `${word}s `, el("b", {}, said)) : el("span", {}, `one ${word}`);
}

function note({ defined, note: why, chain_note: order }) {
  const words = [defined && why, order].filter(Boolean);
  return words.length ? [el("dt"), el("dd.hint", {}, words.join(" "))] : null;
}
