/** The drawing of a map: cells, lines, numbers, rings, and the flight from one place to another. */

import { BLANK, DOWN, KINDS, NAN, UP, ZERO, kindOf, largestOf, packed, short } from "./colours.js";
import { set } from "./dom.js";
import { WITH_NUMBERS, blockLines } from "./geometry.js";

// Milliseconds that cells take to their new places.
const TURN = 520;
// Smaller cells have no lines between them.
const TINY = 7;

/** What each entry is drawn as. */
export function sorted(values, allowed) {
  const kinds = new Uint8Array(values.length);
  const largest = largestOf(values) || 1;
  for (let n = 0; n < values.length; n += 1) kinds[n] = kindOf(values[n], !allowed || allowed[n] !== 0, largest);
  return { kinds, groups: grouped(kinds) };
}

/** The entries of each kind, so that a colour is chosen once and not for each cell. */
function grouped(kinds) {
  const counts = new Int32Array(KINDS + 1);
  for (const kind of kinds) counts[kind + 1] += 1;
  for (let n = 0; n < KINDS; n += 1) counts[n + 1] += counts[n];
  const order = new Int32Array(kinds.length);
  const next = counts.slice();
  for (let entry = 0; entry < kinds.length; entry += 1) order[next[kinds[entry]]++] = entry;
  return { order, counts };
}

function sized(canvas, width, height) {
  const scale = Math.min(3, devicePixelRatio || 1);
  const [w, h] = [Math.round(width * scale), Math.round(height * scale)];
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
    set(canvas, { style: { width: `${width}px`, height: `${height}px` } });
  }
  const ctx = canvas.getContext("2d");
  ctx.setTransform(scale, 0, 0, scale, 0, 0);
  return ctx;
}

export function paint(map, cells, marks, colours) {
  map.flying = false;
  const { shape } = map.shown;
  const ctx = sized(cells, shape.width, shape.height);
  sized(marks, shape.width, shape.height);
  ctx.fillStyle = colours.sheet;
  ctx.fillRect(0, 0, shape.width, shape.height);
  const { x, y } = corners(map.shown);
  squares(ctx, map.shown, colours, shape.cellWidth, shape.cellHeight, (n) => x[n], (n) => y[n]);
  lines(ctx, map.shown, colours);
  numbers(ctx, map.shown, colours, x, y);
  labels(ctx, map.shown, colours);
  paintMarks(map, marks, colours);
  set(map.stage, { "data-grid": [shape.left, shape.top, shape.cellWidth, shape.cellHeight].join(" ") });
}

/** Tiny cells as pixels, which is many times quicker than as squares. */
function raster(ctx, { groups }, colours, width, height, x, y) {
  const { canvas } = ctx;
  const scale = ctx.getTransform().a;
  const image = ctx.createImageData(canvas.width, canvas.height);
  const pixels = new Uint32Array(image.data.buffer);
  pixels.fill(packed(colours.sheet));
  const [wide, tall] = [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
  for (let kind = BLANK + 1; kind < KINDS; kind += 1) {
    const colour = packed(colours.fills[kind]);
    for (let n = groups.counts[kind]; n < groups.counts[kind + 1]; n += 1) {
      const entry = groups.order[n];
      const left = Math.round(x(entry) * scale);
      const top = Math.round(y(entry) * scale);
      const right = Math.min(left + wide, canvas.width);
      const bottom = Math.min(top + tall, canvas.height);
      for (let row = top; row < bottom; row += 1) {
        const start = row * canvas.width;
        for (let place = start + left; place < start + right; place += 1) pixels[place] = colour;
      }
    }
  }
  ctx.putImageData(image, 0, 0);
}

/** Squares of every kind, and what tells NaN, infinity and a computed zero apart without colour. */
function squares(ctx, shown, colours, width, height, x, y) {
  const { groups, kinds, known } = shown;
  const small = Math.min(width, height) < TINY;
  const line = small ? 0 : 1;
  if (small) raster(ctx, shown, colours, width, height, x, y);
  for (let kind = small ? KINDS : 0; kind < KINDS; kind += 1) {
    if (kind === BLANK || groups.counts[kind] === groups.counts[kind + 1]) continue;
    ctx.fillStyle = colours.fills[kind];
    for (let n = groups.counts[kind]; n < groups.counts[kind + 1]; n += 1) {
      const entry = groups.order[n];
      ctx.fillRect(x(entry), y(entry), width - line, height - line);
    }
  }
  ctx.lineWidth = 1.2;
  for (const kind of known ? [ZERO, NAN, UP, DOWN] : []) {
    for (let n = groups.counts[kind]; n < groups.counts[kind + 1]; n += 1) {
      mark(ctx, kinds[groups.order[n]], x(groups.order[n]), y(groups.order[n]), width - line, height - line, colours);
    }
  }
}

function mark(ctx, kind, x, y, width, height, colours) {
  if (kind === ZERO) {
    if (width < 7 || width >= WITH_NUMBERS) return;
    ctx.fillStyle = colours.soft;
    ctx.fillRect(x + width / 2 - 1, y + height / 2 - 1, 2, 2);
    return;
  }
  if (width >= WITH_NUMBERS) return;
  if (width < 7) { // as large as it takes to be seen
    const [middle, across] = [x + width / 2, y + height / 2];
    ctx.fillStyle = "#14171b";
    ctx.fillRect(middle - 4, across - 4, 8, 8);
    ctx.fillStyle = colours.fills[kind];
    ctx.fillRect(middle - 3, across - 3, 6, 6);
    [x, y, width, height] = [middle - 4, across - 4, 8, 8];
  }
  ctx.strokeStyle = "#14171b";
  ctx.beginPath();
  ctx.moveTo(x + 1, y + height - 1);
  ctx.lineTo(x + width - 1, y + 1);
  if (kind === NAN) {
    ctx.moveTo(x + 1, y + 1);
    ctx.lineTo(x + width - 1, y + height - 1);
  }
  ctx.stroke();
}

function lines(ctx, { placement, shape }, colours) {
  const { rows, columns, rowAxes, columnAxes } = placement;
  const stroke = (x, y, width, height, level) => {
    ctx.fillStyle = level ? colours.line : colours.strong;
    ctx.fillRect(x, y, width, height);
  };
  const right = shape.x(columns - 1) + shape.cellWidth;
  const bottom = shape.y(rows - 1) + shape.cellHeight;
  const { left, top } = shape;
  const columnLines = blockLines(columnAxes, shape.cellWidth).filter(({ at }) => !gapAt(at, shape.columnGap));
  const rowLines = blockLines(rowAxes, shape.cellHeight).filter(({ at }) => !gapAt(at, shape.rowGap));
  const deepest = Math.max(0, ...columnLines.concat(rowLines).map(({ level }) => level));
  for (let level = deepest; level >= 0; level -= 1) {
    for (const line of columnLines) if (line.level === level) stroke(shape.x(line.at) - 1, top, 1, bottom - top, level);
    for (const line of rowLines) if (line.level === level) stroke(left, shape.y(line.at) - 1, right - left, 1, level);
  }
  frames(ctx, placement, shape, colours, right, bottom);
}

const gapAt = (at, gap) => gap > 0 && at % gap === 0;

/** A frame around the whole, or around each panel. */
function frames(ctx, { rows, columns }, shape, colours, right, bottom) {
  ctx.strokeStyle = colours.strong;
  ctx.lineWidth = 1;
  const tall = shape.rowGap || rows;
  const wide = shape.columnGap || columns;
  for (let row = 0; row < rows; row += tall) {
    for (let column = 0; column < columns; column += wide) {
      const [x, y] = [shape.x(column), shape.y(row)];
      const w = Math.min(right - x, wide * shape.cellWidth);
      const h = Math.min(bottom - y, tall * shape.cellHeight);
      ctx.strokeRect(x + 0.5, y + 0.5, w - 1 + (right === x + w ? 0.5 : 0), h - 1 + (bottom === y + h ? 0.5 : 0));
    }
  }
}

function numbers(ctx, { values, kinds, shape, known }, colours, left, top) {
  if (!known || shape.cellWidth < WITH_NUMBERS) return;
  const room = shape.cellWidth - 4;
  const fitting = (value) => {
    for (let digits = 3; digits > 1; digits -= 1) {
      const text = short(value, digits);
      if (ctx.measureText(text).width <= room) return text;
    }
    return short(value, 1);
  };
  ctx.font = `${shape.cellWidth >= 40 ? 11.5 : 10.5}px system-ui, "DejaVu Sans", sans-serif`;
  ctx.textAlign = "center";
  ctx.textBaseline = "middle";
  for (let entry = 0; entry < values.length; entry += 1) {
    if (kinds[entry] === BLANK) continue;
    ctx.fillStyle = kinds[entry] === ZERO ? colours.soft : colours.texts[kinds[entry]];
    const x = left[entry] + shape.cellWidth / 2;
    const y = top[entry] + shape.cellHeight / 2 + 0.5;
    ctx.fillText(fitting(values[entry]), x, y, room);
  }
}

/** The index of each block along both sides, as many as there is room for. */
function labels(ctx, { placement, shape }, colours) {
  if (!placement.labels) return;
  const { rows, columns } = placement.labels;
  ctx.font = '11px system-ui, "DejaVu Sans", sans-serif';
  ctx.fillStyle = colours.soft;
  ctx.textBaseline = "middle";
  const across = placement.columns / columns.length;
  const widest = Math.max(0, ...columns.map((text) => ctx.measureText(text).width)) + 14;
  ctx.textAlign = "center";
  spaced(columns, across * shape.cellWidth, widest, (text, n) => {
    const middle = (shape.x(n * across) + shape.x((n + 1) * across - 1) + shape.cellWidth) / 2;
    ctx.fillText(text, middle, shape.top - 9);
  });
  const down = placement.rows / rows.length;
  ctx.textAlign = "right";
  spaced(rows, down * shape.cellHeight, 22, (text, n) => {
    const middle = (shape.y(n * down) + shape.y((n + 1) * down - 1) + shape.cellHeight) / 2;
    ctx.fillText(text, shape.left - 6, middle, shape.left - 7);
  });
}

function spaced(texts, size, needed, write) {
  const every = round(needed / size);
  texts.forEach((text, n) => n % every === 0 && write(text, n));
}

/** The next of 1, 2, 5, 10, 20, 50, ... */
function round(least) {
  for (let step = 1; ; step *= 10) for (const factor of [1, 2, 5]) if (factor * step >= least) return factor * step;
}

/** Rings around the cell at hand, the pinned one and those that are lit. */
export function paintMarks({ shown, cursor, pinned, lit }, canvas, colours) {
  const ctx = sized(canvas, shown.shape.width, shown.shape.height);
  ctx.clearRect(0, 0, shown.shape.width, shown.shape.height);
  for (const entry of lit) ring(ctx, shown, entry, colours.link, 2.5, colours.sheet);
  if (pinned >= 0) ring(ctx, shown, pinned, colours.link, 3, colours.sheet);
  if (cursor >= 0) ring(ctx, shown, cursor, colours.ink, 2, colours.sheet);
}

function ring(ctx, { placement, shape }, entry, colour, width, around) {
  if (entry >= placement.rowOf.length) return;
  const small = Math.min(shape.cellWidth, shape.cellHeight) < 8;
  const grow = small ? 3 : -0.5;
  const box = [
    shape.x(placement.columnOf[entry]) - grow,
    shape.y(placement.rowOf[entry]) - grow,
    shape.cellWidth + 2 * grow - (small ? 0 : 1),
    shape.cellHeight + 2 * grow - (small ? 0 : 1),
  ];
  ctx.strokeStyle = around;
  ctx.lineWidth = width + 2;
  ctx.strokeRect(...box);
  ctx.strokeStyle = colour;
  ctx.lineWidth = width;
  ctx.strokeRect(...box);
}

/** Move every cell from its old place to its new one, a ring around the one that is followed. */
export function fly(map, before, after, cells, marks, colours) {
  const run = map.running;
  map.flying = true;
  const width = Math.max(before.shape.width, after.shape.width);
  const height = Math.max(before.shape.height, after.shape.height);
  const start = performance.now();
  const from = corners(before);
  const to = corners(after);
  sized(marks, width, height).clearRect(0, 0, width, height);
  const frame = (now) => {
    if (run !== map.running) return;
    const part = Math.min(1, Math.max(0, (now - start) / TURN));
    if (part >= 1) {
      paint(map, cells, marks, colours);
      return;
    }
    const eased = part < 0.5 ? 4 * part ** 3 : 1 - (-2 * part + 2) ** 3 / 2;
    const between = (a, b) => a + (b - a) * eased;
    const ctx = sized(cells, width, height);
    ctx.fillStyle = colours.sheet;
    ctx.fillRect(0, 0, width, height);
    const cellWidth = between(before.shape.cellWidth, after.shape.cellWidth);
    const cellHeight = between(before.shape.cellHeight, after.shape.cellHeight);
    squares(ctx, after, colours, cellWidth, cellHeight, (n) => between(from.x[n], to.x[n]), (n) => between(from.y[n], to.y[n]));
    const followed = map.pinned >= 0 ? map.pinned : map.lit[0] ?? -1;
    if (followed >= 0) {
      ctx.strokeStyle = colours.link;
      ctx.lineWidth = 3;
      ctx.strokeRect(between(from.x[followed], to.x[followed]), between(from.y[followed], to.y[followed]), cellWidth, cellHeight);
    }
    requestAnimationFrame(frame);
  };
  frame(start);
}

function corners({ placement: { rowOf, columnOf, rows, columns }, shape }) {
  const across = Float32Array.from({ length: columns }, (_, n) => shape.x(n));
  const down = Float32Array.from({ length: rows }, (_, n) => shape.y(n));
  const [x, y] = [new Float32Array(rowOf.length), new Float32Array(rowOf.length)];
  for (let entry = 0; entry < rowOf.length; entry += 1) {
    x[entry] = across[columnOf[entry]];
    y[entry] = down[rowOf[entry]];
  }
  return { x, y };
}
