/** What a view's data mean: indices, places, the formula of one entry. Pure. */

/** A JSON number as a number: "NaN" and "Infinity" are words there. */
export const numbers = (list) => (list ? Float64Array.from(list, Number) : null);

/** The indices of a place in a flat list, the last the fastest. */
export function indexOf(shape, flat) {
  const index = new Array(shape.length);
  let rest = flat;
  for (let axis = shape.length - 1; axis >= 0; axis -= 1) {
    index[axis] = rest % shape[axis];
    rest = Math.floor(rest / shape[axis]);
  }
  return index;
}

/** The place of indices in a flat list; -1 where they are outside. */
export function flatOf(shape, index) {
  if (index.length !== shape.length) return -1;
  let flat = 0;
  for (let axis = 0; axis < shape.length; axis += 1) {
    if (!(index[axis] >= 0 && index[axis] < shape[axis])) return -1;
    flat = flat * shape[axis] + index[axis];
  }
  return flat;
}

/** The arrangement that a state asks for, else the view's own. */
export function arrangementOf(view, state) {
  const id = state.textbook ? `textbook/${state.textbook}` : `${state.layout}/${state.vec}`;
  return view.arrangements.find((one) => one.id === id) ?? view.arrangements.find((one) => one.id === view.arrangement) ?? view.arrangements[0];
}

/**
 * Where each cell of a Jacobian stands in an arrangement: `row = row * size + index`, axis by axis.
 * @returns {import("./geometry.js").Placement}
 */
export function placementOf(shape, { rows, columns, stacked = true }) {
  const count = shape.reduce((product, size) => product * size, 1);
  return {
    rows: rows.reduce((product, axis) => product * shape[axis], 1),
    columns: columns.reduce((product, axis) => product * shape[axis], 1),
    rowOf: along(shape, rows, count),
    columnOf: along(shape, columns, count),
    rowAxes: rows.map((axis) => shape[axis]),
    columnAxes: columns.map((axis) => shape[axis]),
    facets: !stacked && rows.length + columns.length > 2,
  };
}

/** What stands along the sides of a picture: the indices of each side's outermost axis. */
export function labelsOf({ axes, cells }, { rows, columns }) {
  const along = (side) => {
    const outer = side.find((axis) => cells.shape[axis] > 1) ?? side[0];
    if (outer === undefined) return [];
    const { letter, edges } = axes[outer];
    return edges.slice(0, -1).map((edge) => (letter ? `${letter}=${edge}` : String(edge)));
  };
  return { rows: along(rows), columns: along(columns) };
}

/** Which indices run along each side, in words: `D[i,j] with j slowest`; "" for one row or column. */
export function sidesOf(view, { rows, columns }) {
  const { axes } = view.jacobian;
  const said = (side) => {
    if (!side.some((axis) => axes[axis].size > 1)) return "";
    const names = ["out", "in"].flatMap((which) => {
      const own = side.filter((axis) => axes[axis].side === which).sort((a, b) => a - b);
      const name = which === "out" ? view.output.name : view.wrt;
      return own.length ? `${name}[${own.map((axis) => axes[axis].letter || "0").join(",")}]` : [];
    });
    const open = side.filter((axis) => axes[axis].size > 1);
    return names.join(", ") + (open.length > 1 ? ` with ${axes[open[0]].letter} slowest` : "");
  };
  return { rows: said(rows), columns: said(columns) };
}

function along(shape, axes, count) {
  const weight = new Array(shape.length).fill(0);
  let block = 1;
  for (let n = axes.length - 1; n >= 0; n -= 1) {
    weight[axes[n]] = block;
    block *= shape[axes[n]];
  }
  const found = new Int32Array(count);
  const index = new Array(shape.length).fill(0);
  for (let flat = 0, place = 0; flat < count; flat += 1) {
    found[flat] = place;
    for (let axis = shape.length - 1; axis >= 0; axis -= 1) {
      index[axis] += 1;
      place += weight[axis];
      if (index[axis] < shape[axis]) break;
      place -= weight[axis] * shape[axis];
      index[axis] = 0;
    }
  }
  return found;
}

/** A plain array as a picture: its last axis along the columns, the others along the rows. */
export function plainPlacement(shape) {
  const axes = shape.map((_, axis) => axis);
  return placementOf(shape, { rows: axes.slice(0, -1), columns: axes.slice(-1) });
}

const valueOf = (place, letters) =>
  Object.entries(place.letters).reduce((sum, [letter, factor]) => sum + factor * letters[letter], place.start);

/**
 * One entry's formula from the template of all.
 * @returns {{formula: string, reason: string, origins: [string, (number|null)[]][]}}
 */
export function fromTemplate(template, index) {
  const letters = {};
  for (const [letter, axis] of Object.entries(template.letters)) letters[letter] = index[axis];
  const filled = (text, places = {}) =>
    text.replace(/(\+?)\{([^{}]*)\}/g, (_, plus, name) => {
      const place = places[name] ? valueOf(places[name], letters) : letters[name] ?? name;
      return plus && place === 0 ? "" : `${place < 0 ? "" : plus}${place}`; // v+0 is v
    });
  const reasons = [];
  const origins = [];
  let sum = "";
  for (const term of template.terms) {
    const broken = term.ties.map((tie) => [valueOf(tie.left, letters), valueOf(tie.right, letters)]).find(([a, b]) => a !== b);
    if (broken) {
      reasons.push(broken.join(" ≠ "));
      continue;
    }
    const text = filled(term.text, term.places);
    if (sum) sum += ` ${term.sign} ${text}`;
    else sum = term.sign === "-" ? `-${text}` : text;
    for (const origin of term.origins) origins.push([origin.name, origin.index.map((place) => place && valueOf(place, letters))]);
  }
  const reason = sum || !reasons.length ? "" : `zero by structure: ${reasons.join(", ")}`;
  return { formula: `${filled(template.head)} = ${sum || "0"}`, reason, origins };
}

/**
 * What the view itself knows of a cell.
 * @returns {{index: number[], ranges: [number, number][], whole: boolean, value: number|null, allowed: boolean,
 *   text: {formula: string, reason: string, origins: any[]}|null}}
 */
export function cellOf(view, flat) {
  const { cells, axes } = view.jacobian;
  const at = indexOf(cells.shape, flat);
  const ranges = at.map((n, axis) => [axes[axis].edges[n], axes[axis].edges[n + 1] - 1]);
  const whole = ranges.every(([first, last]) => first === last);
  const index = ranges.map(([first]) => first);
  return {
    index,
    ranges,
    whole,
    value: cells.values ? Number(cells.values[flat]) : null,
    allowed: cells.structure === "" || cells.structure[flat] !== "0",
    text: whole ? knownText(view, index) : null,
  };
}

function knownText(view, index) {
  const { template } = view.entries;
  return template ? fromTemplate(template, index) : null;
}

/** The cell that shows an entry; -1 where the indices are outside. */
export function cellAt(view, index) {
  const { cells, axes } = view.jacobian;
  if (index.length !== axes.length) return -1;
  const at = index.map((n, axis) => axes[axis].edges.findIndex((edge, k) => n >= edge && n < axes[axis].edges[k + 1]));
  return flatOf(cells.shape, at);
}

/** The entries of an array that origins name, as places in its flat list. */
export function litOf(array, origins) {
  const found = new Set();
  for (const [name, index] of origins) {
    if (name === array.name && index.length === array.shape.length) spread(array.shape, index, 0, 0, found);
  }
  return [...found];
}

function spread(shape, index, axis, flat, found) {
  if (found.size > 4096) return;
  if (axis === shape.length) {
    found.add(flat);
    return;
  }
  const [from, to] = index[axis] === null ? [0, shape[axis]] : [index[axis], index[axis] + 1];
  for (let n = from; n < to; n += 1) spread(shape, index, axis + 1, flat * shape[axis] + n, found);
}
