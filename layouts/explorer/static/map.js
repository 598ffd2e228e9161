/** The heat map: two canvases, one for the cells and one for what is lit above them. */

import { palette } from "./colours.js";
import { el, framed, fresh, set, still } from "./dom.js";
import { geometry, inverse, trackAt } from "./geometry.js";
import { fly, paint, paintMarks, sorted } from "./paint.js";

// More cells than this do not fly one by one.
const MOST_FLYING = 60000;

/**
 * A map that shows cells, and says which one the reader is at.
 * @param {object} options
 * @param {string} options.label for screen readers
 * @param {(entry: number) => void} [options.onHover] -1 when the pointer leaves
 * @param {(entry: number) => void} [options.onPin]
 * @param {{height: number, widest: number, tallest: number}} [options.most] as `geometry` has it
 * @param {() => number} [options.room] the width that there is
 */
export function makeMap({ label, onHover = () => {}, onPin = null, most = undefined, room = null }) {
  const cells = el("canvas", { "aria-hidden": "true" });
  const marks = el("canvas", { "aria-hidden": "true", style: { position: "absolute", left: "0", top: "0", "pointer-events": "none" } });
  const help = el("p.sr", { id: fresh("help") }, "Arrow keys move from entry to entry, Enter pins one, Escape lets it go.");
  const stage = el("div.stage", onPin ? { tabindex: 0, role: "application", "aria-roledescription": "matrix", "aria-describedby": help.id } : { role: "img" }, cells, marks);
  const wide = el("p.hint", { hidden: true }, "The map is wider than there is room for: scroll it sideways.");
  const root = el("div", {}, stage, onPin ? [help, wide] : null);
  const map = { root, stage, shown: null, cursor: -1, pinned: -1, lit: [], running: 0, flying: false };
  let colours = null;
  const width = () => Math.max(120, room?.() || root.clientWidth || 600);

  map.name = (text) => set(stage, { "aria-label": text });
  map.name(label);

  /**
   * Show values in their places; cells move there from where they stood before.
   * @param {object} what
   * @param {ArrayLike<number>} what.values by entry
   * @param {ArrayLike<number>|null} what.allowed by entry, 0 where zero by structure
   * @param {import("./geometry.js").Placement} what.placement
   * @param {boolean} [what.known] false where the values are not known, and the structure is drawn alone
   * @param {boolean} [what.move]
   */
  map.show = ({ values, allowed = null, placement, known = true, move = false }) => {
    colours ??= palette(stage);
    const before = map.shown;
    const { kinds, groups } = before?.values === values ? before : sorted(values, allowed);
    const shape = geometry(placement, width(), most);
    map.shown = { values, kinds, placement, shape, known, entryAt: inverse(placement), groups };
    const flies = move && before && before.values.length === values.length && values.length <= MOST_FLYING && !still();
    map.running += 1;
    if (flies) fly(map, before, map.shown, cells, marks, colours);
    else paint(map, cells, marks, colours);
    set(wide, { hidden: shape.width <= width() + 1 });
  };

  /** Draw again in the width and the theme that are now. */
  map.refresh = () => {
    colours = palette(stage);
    if (!map.shown) return;
    map.shown = { ...map.shown, shape: geometry(map.shown.placement, width(), most) };
    map.running += 1;
    paint(map, cells, marks, colours);
    set(wide, { hidden: map.shown.shape.width <= width() + 1 });
  };

  map.mark = ({ cursor = map.cursor, pinned = map.pinned, lit = map.lit }) => {
    Object.assign(map, { cursor, pinned, lit });
    if (map.shown && !map.flying) paintMarks(map, marks, colours);
  };

  /** Scroll a cell into view; there is none below 0. */
  map.reveal = (entry) => {
    if (map.shown && entry >= 0) intoView(map, entry);
  };

  const told = framed((entry) => onHover(entry));
  const entryUnder = (event) => {
    if (!map.shown) return -1;
    const box = cells.getBoundingClientRect();
    return entryAtPoint(map.shown, event.clientX - box.left, event.clientY - box.top);
  };
  if (onPin) {
    cells.addEventListener("pointermove", (event) => told(entryUnder(event)));
    cells.addEventListener("pointerleave", () => told(-1));
    cells.addEventListener("click", (event) => {
      const entry = entryUnder(event);
      if (entry >= 0) onPin(entry === map.pinned ? -1 : entry);
    });
    stage.addEventListener("keydown", (event) => {
      const next = keyed(map, event);
      if (next === null) return;
      event.preventDefault();
      if (next.pin !== undefined) onPin(next.pin);
      else {
        onHover(next.entry);
        intoView(map, next.entry);
      }
    });
    stage.addEventListener("blur", () => onHover(-1));
  }
  let drawn = 0;
  new ResizeObserver(() => {
    if (Math.abs(width() - drawn) < 2 || !root.clientWidth) return;
    drawn = width();
    map.refresh();
  }).observe(root);
  return map;
}

/** The entry under a point of the map, or -1. */
export function entryAtPoint({ placement, shape, entryAt }, x, y) {
  const column = trackAt(x - shape.left, shape.cellWidth, shape.columnGap, placement.columns);
  const row = trackAt(y - shape.top, shape.cellHeight, shape.rowGap, placement.rows);
  return row < 0 || column < 0 ? -1 : entryAt[row * placement.columns + column];
}

const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

function keyed(map, event) {
  if (!map.shown || event.ctrlKey || event.metaKey || event.altKey) return null;
  const { placement, entryAt } = map.shown;
  const at = map.cursor >= 0 ? map.cursor : map.pinned;
  if (event.key === "Escape") return { pin: -1 };
  if (event.key === "Enter" || event.key === " ") return { pin: at === map.pinned ? -1 : at };
  const ends = { Home: 0, End: placement.columns - 1 };
  const step = STEPS[event.key];
  if (!step && !(event.key in ends)) return null;
  if (at < 0) return { entry: entryAt[0] };
  let row = placement.rowOf[at];
  let column = placement.columnOf[at];
  if (step) {
    row = Math.min(placement.rows - 1, Math.max(0, row + step[0]));
    column = Math.min(placement.columns - 1, Math.max(0, column + step[1]));
  } else column = ends[event.key];
  const entry = entryAt[row * placement.columns + column];
  return { entry: entry >= 0 ? entry : at };
}

function intoView(map, entry) {
  const { placement, shape } = map.shown;
  const x = shape.x(placement.columnOf[entry]);
  const y = shape.y(placement.rowOf[entry]);
  const { stage } = map;
  if (x < stage.scrollLeft) stage.scrollLeft = x - 20;
  if (x + shape.cellWidth > stage.scrollLeft + stage.clientWidth) stage.scrollLeft = x - stage.clientWidth + shape.cellWidth + 20;
  if (y < stage.scrollTop) stage.scrollTop = y - 20;
  if (y + shape.cellHeight > stage.scrollTop + stage.clientHeight) stage.scrollTop = y - stage.clientHeight + shape.cellHeight + 20;
}
