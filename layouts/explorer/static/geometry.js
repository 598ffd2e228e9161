/** Where cells stand, in pixels; pure. */

const GAP = 7;
const MARGIN = { left: 34, top: 19 };
const LARGEST = 22;
const SMALLEST = 2;
// Numbers stand in cells at least so wide.
export const WITH_NUMBERS = 30;

/**
 * Which row and column each entry stands in.
 * @typedef {object} Placement
 * @property {number} rows
 * @property {number} columns
 * @property {Int32Array} rowOf by entry, in JAX's order
 * @property {Int32Array} columnOf
 * @property {number[]} rowAxes sizes of the axes stacked along the rows, outermost first
 * @property {number[]} columnAxes
 * @property {{rows: string[], columns: string[]}} [labels] of the blocks along each side
 * @property {boolean} facets whether the outer axes are drawn as panels of their own
 */

/**
 * The pixels of a placement in a given width.
 * @param {Placement} placement
 * @param {number} width
 * @param {{height: number, widest: number, tallest: number}} [most] height of all, sides of a cell
 *   `placement.labels` asks for margins, where indices stand
 */
export function geometry(placement, width, { height, widest, tallest } = { height: 490, widest: 52, tallest: 28 }) {
  const { rows, columns } = placement;
  const rowGap = placement.facets ? blockOf(placement.rowAxes, rows) : 0;
  const columnGap = placement.facets ? blockOf(placement.columnAxes, columns) : 0;
  const spaceX = columnGap ? (columns / columnGap - 1) * GAP : 0;
  const spaceY = rowGap ? (rows / rowGap - 1) * GAP : 0;
  const [left, top] = placement.labels ? [MARGIN.left, MARGIN.top] : [0, 0];
  const free = (width - left - spaceX - 1) / Math.max(1, columns);
  let cellWidth;
  let cellHeight;
  if (free >= WITH_NUMBERS && rows * 20 + spaceY <= height * 1.25) {
    cellWidth = Math.floor(Math.min(widest, free));
    cellHeight = Math.floor(Math.max(20, Math.min(tallest, (height - spaceY) / Math.max(1, rows))));
  } else {
    const square = Math.min(LARGEST, free, Math.max(3, (height - spaceY) / Math.max(1, rows)));
    const whole = square >= 4 ? Math.floor(square) : Math.floor(square * 4) / 4;
    cellWidth = Math.max(SMALLEST, whole);
    // Few long rows would be a thread: they are made up to three times as high as wide.
    cellHeight = Math.max(cellWidth, Math.floor(Math.min(LARGEST, 3 * cellWidth, 220 / Math.max(1, rows))));
  }
  return {
    cellWidth,
    cellHeight,
    rowGap,
    columnGap,
    left,
    top,
    x: (column) => left + column * cellWidth + (columnGap ? Math.floor(column / columnGap) * GAP : 0),
    y: (row) => top + row * cellHeight + (rowGap ? Math.floor(row / rowGap) * GAP : 0),
    width: left + Math.ceil(columns * cellWidth + spaceX) + 1,
    height: top + Math.ceil(rows * cellHeight + spaceY) + 1,
  };
}

/** The row or column at a distance from the edge; -1 in a gap or outside. */
export function trackAt(distance, cell, gap, count) {
  if (distance < 0) return -1;
  if (!gap) {
    const found = Math.floor(distance / cell);
    return found < count ? found : -1;
  }
  const block = gap * cell + GAP;
  const panel = Math.floor(distance / block);
  const inside = distance - panel * block;
  const found = panel * gap + Math.floor(inside / cell);
  return inside >= gap * cell || found >= count ? -1 : found;
}

/** How many rows one index of the outermost axis takes; 0 where that says nothing. */
function blockOf(axes, total) {
  const sizes = axes.filter((size) => size !== 1);
  return sizes.length > 1 ? total / sizes[0] : 0;
}

/**
 * The lines between blocks along one side: those of the outermost axis first and strongest, none
 * that would crowd.
 * @returns {{at: number, level: number}[]}
 */
export function blockLines(axes, cell, nearest = 9) {
  const sizes = axes.filter((size) => size !== 1);
  const total = sizes.reduce((product, size) => product * size, 1);
  const drawn = new Set([0]);
  const lines = [];
  let block = total;
  sizes.some((size, level) => {
    block /= size;
    if (block <= 1 || block * cell < nearest) return true;
    for (let at = block; at < total; at += block) {
      if (!drawn.has(at)) lines.push({ at, level });
      drawn.add(at);
    }
    return false;
  });
  return lines;
}

/** Which entry stands in each cell, by row and column; -1 where none does. */
export function inverse(placement) {
  const found = new Int32Array(placement.rows * placement.columns).fill(-1);
  const { rowOf, columnOf, columns } = placement;
  for (let entry = 0; entry < rowOf.length; entry += 1) found[rowOf[entry] * columns + columnOf[entry]] = entry;
  return found;
}
