/** The map as a table, for those who read rather than see, and the legend of what it shows. */

import { BLANK, DOWN, NAN, UP, ZERO, kindOf, largestOf, palette, short } from "./colours.js";
import { el, fill } from "./dom.js";
import { cellOf } from "./view.js";

const MOST = { rows: 60, columns: 40 };

/**
 * @param {HTMLElement} root
 * @param {object} view
 * @param {{values: Float64Array|null, placement: object, entryAt: Int32Array}} shown
 */
export function showTable(root, view, { values, placement, entryAt }) {
  const rows = Math.min(placement.rows, MOST.rows);
  const columns = Math.min(placement.columns, MOST.columns);
  const range = (count, make) => Array.from({ length: count }, (_, n) => make(n));
  const label = (cell, axes) => axes.map((axis) => cell.ranges[axis].filter((n, k, all) => !k || n !== all[0]).join("–")).join(",");
  const { rows: down, columns: across } = placement.axes;
  const head = el("tr", {}, el("td"), range(columns, (n) => el("th", { scope: "col" }, label(cellOf(view, entryAt[n]), across) || n)));
  const body = range(rows, (row) => {
    const first = cellOf(view, entryAt[row * placement.columns]);
    return el("tr", {}, el("th", { scope: "row" }, label(first, down) || row), range(columns, (column) => el("td", {}, word(view, values, entryAt[row * placement.columns + column]))));
  });
  const cut = rows < placement.rows || columns < placement.columns;
  fill(
    root,
    cut && el("p.hint", {}, `The first ${rows} rows and ${columns} columns of ${placement.rows}×${placement.columns}.`),
    el("div.plain-table", { tabindex: 0, role: "region", "aria-label": "The Jacobian as a table" }, el("table.numbers", { "aria-label": "Entries of the Jacobian, by the indices of rows and columns" }, el("thead", {}, head), el("tbody", {}, body))),
  );
}

function word(view, values, entry) {
  if (entry < 0) return "";
  const { structure } = view.jacobian.cells;
  if (structure && structure[entry] === "0") return "·";
  return values ? short(values[entry], 5) : "may be nonzero";
}

/** A swatch for each kind of cell that is there. */
export function showLegend(root, view, values) {
  const { structure } = view.jacobian.cells;
  const { fills, sheet } = palette(root);
  const key = (colour, text, cross = "") => el("span.key", {}, el("span.swatch", { class: cross, style: { background: colour } }), text);
  if (!values) {
    fill(root, key(fills[ZERO], "may be nonzero"), key(sheet, "zero by structure"));
    return;
  }
  const kinds = new Set();
  const largest = largestOf(values) || 1;
  let [lowest, highest] = [0, 0];
  values.forEach((value, n) => {
    kinds.add(kindOf(value, !structure || structure[n] !== "0", largest));
    if (Number.isFinite(value)) [lowest, highest] = [Math.min(lowest, value), Math.max(highest, value)];
  });
  const { counts } = view.jacobian;
  const many = (name) => (counts[name] > 1 ? ` (${counts[name].toLocaleString("en-US")})` : "");
  fill(
    root,
    lowest < 0 && key(fills[kindOf(lowest, true, largest)], `negative, to ${short(lowest)}`),
    highest > 0 && key(fills[kindOf(highest, true, largest)], `positive, to ${short(highest)}`),
    kinds.has(ZERO) && key(fills[ZERO], `zero by value${many("value")}`, "dot"),
    kinds.has(BLANK) && key(sheet, `zero by structure${many("structure")}`),
    kinds.has(NAN) && key(fills[NAN], `NaN${many("NaN")}`, "cross"),
    (kinds.has(UP) || kinds.has(DOWN)) && key(fills[UP], "infinite", "stroke"),
  );
}
