/** Numbers as colours: blue below zero, vermilion above, paler the smaller; pure but for `palette`. */

// As many shades on either side of zero; enough that the eye sees no steps.
export const SHADES = 16;
const PALEST = 0.2;

/** What a cell is drawn as: a shade, or one of these. */
export const BLANK = 0;
export const ZERO = 1;
export const NAN = 2;
export const UP = 3;
export const DOWN = 4;
const FIRST = 5;
export const KINDS = FIRST + 2 * SHADES;

/**
 * The kind of a cell.
 * @param {number} value
 * @param {boolean} allowed whether the structure lets it be other than zero
 * @param {number} largest the largest finite magnitude
 */
export function kindOf(value, allowed, largest) {
  if (Number.isNaN(value)) return NAN;
  if (value === Infinity) return UP;
  if (value === -Infinity) return DOWN;
  if (value === 0) return allowed ? ZERO : BLANK;
  const shade = Math.min(SHADES - 1, Math.floor((Math.abs(value) / largest) * SHADES));
  return FIRST + (value > 0 ? SHADES : 0) + shade;
}

/** The largest finite magnitude, or 0. */
export function largestOf(values) {
  let largest = 0;
  for (const value of values) if (Number.isFinite(value) && Math.abs(value) > largest) largest = Math.abs(value);
  return largest;
}

/** The colours of all kinds in the theme of an element, and of its lines and text. */
export function palette(root) {
  const style = getComputedStyle(root);
  const named = (name) => style.getPropertyValue(`--${name}`).trim();
  const sheet = rgb(named("sheet"));
  const ink = rgb(named("ink"));
  const fills = new Array(KINDS);
  fills[BLANK] = named("sheet");
  fills[ZERO] = mix(sheet, ink, 0.11);
  fills[NAN] = named("nan");
  fills[UP] = fills[DOWN] = named("infinity");
  for (const [offset, colour] of [[0, named("negative")], [SHADES, named("positive")]]) {
    for (let n = 0; n < SHADES; n += 1) {
      fills[FIRST + offset + n] = mix(sheet, rgb(colour), PALEST + ((1 - PALEST) * (n + 1)) / SHADES);
    }
  }
  const texts = fills.map((fill) => (light(rgb(fill)) ? "#14171b" : "#ffffff"));
  return {
    fills,
    texts,
    sheet: named("sheet"),
    ink: named("ink"),
    soft: named("soft"),
    line: named("line"),
    strong: named("line-strong"),
    link: named("link"),
  };
}

function rgb(text) {
  const found = text.match(/^#(..)(..)(..)$/);
  if (found) return found.slice(1).map((part) => parseInt(part, 16));
  const parts = text.match(/[\d.]+/g) ?? [0, 0, 0];
  return parts.slice(0, 3).map(Number);
}

/** A colour as a pixel of an ImageData's buffer, little-endian. */
export function packed(text) {
  const [r, g, b] = rgb(text);
  return ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
}

function mix(from, to, part) {
  return `rgb(${from.map((value, n) => Math.round(value + (to[n] - value) * part)).join(",")})`;
}

/** Whether dark text reads better on a colour than white (luminance as WCAG has it). */
function light(colour) {
  const [r, g, b] = colour.map((value) => {
    const part = value / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.2;
}

/** A number in few characters, with a true minus: `−0.123`, `1.2e5`, `NaN`, `∞`. */
export function short(value, digits = 3) {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  if (value === 0) return "0";
  const size = Math.abs(value);
  let text;
  if (size >= 1e5 || size < 1e-3) text = value.toExponential(Math.max(0, digits - (digits > 3 ? 1 : 2))).replace("e+", "e");
  else text = String(Number(value.toPrecision(digits)));
  return text.replaceAll("-", "−");
}
