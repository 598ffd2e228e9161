/**
 * What the page shows, as one plain object, and as the fragment of its address. Pure but for
 * `makeStore`.
 */

/**
 * @typedef {object} State
 * @property {string} kind of the source: "expression", "gallery" or "function"
 * @property {string} of the expression's text, or the name of the row or function
 * @property {Object<string, string>} shapes as typed, such as "4x3", by name; {} for the row's own
 * @property {Object<string, any>} values edited values by name, flat lists
 * @property {number} seed of the values that are drawn
 * @property {string} wrt the variable to differentiate by; "" for the row's own
 * @property {string} layout "numerator", "denominator" or "mixed"
 * @property {string} vec "rows" or "columns"
 * @property {string} textbook a key, or "" for the plain layouts
 * @property {number[]|null} pin the indices of the pinned entry
 * @property {string} tab
 * @property {number[]} sizes of the chain under "Order"; [] for the function's own
 * @property {string} along which of the chain's sizes varies in the curves; "" for the input's
 * @property {string} part of the graphs that is pinned, such as "v:z1"; "" for one that tells most
 * @property {string} check the hand-written formula
 * @property {string} theme "", "light" or "dark"
 */

/** @type {State} */
export const START = Object.freeze({
  kind: "gallery",
  of: "",
  shapes: {},
  values: {},
  seed: 0,
  wrt: "",
  layout: "numerator",
  vec: "rows",
  textbook: "",
  pin: null,
  tab: "read",
  sizes: [],
  along: "",
  part: "",
  check: "",
  theme: "",
});

const KINDS = ["gallery", "expression", "function"];
const WORDS = ["wrt", "layout", "vec", "textbook", "tab", "along", "part", "check", "theme"];
const CHOICES = {
  layout: ["numerator", "denominator", "mixed"],
  vec: ["rows", "columns"],
  tab: ["read", "graphs", "weigh", "check"],
  theme: ["", "light", "dark"],
};

/**
 * The state as a fragment; what is as at the start is left out.
 * @param {State} state
 */
export function toFragment(state) {
  const found = new URLSearchParams();
  if (state.of) found.set(state.kind, state.of);
  for (const word of WORDS) if (state[word] !== START[word]) found.set(word, state[word]);
  const shapes = Object.entries(state.shapes);
  if (shapes.length) found.set("shapes", shapes.map(([name, shape]) => `${name}=${shape.replace(/\s+/g, "")}`).join(" "));
  if (state.seed) found.set("seed", state.seed);
  if (state.pin) found.set("pin", state.pin.join(","));
  if (state.sizes.length) found.set("sizes", state.sizes.join(","));
  if (Object.keys(state.values).length) found.set("values", JSON.stringify(state.values));
  return found.toString();
}

/**
 * The state that a fragment says; whatever it says wrongly is as at the start.
 * @param {string} fragment with or without its "#"
 * @returns {State}
 */
export function fromFragment(fragment) {
  const said = new URLSearchParams(fragment.replace(/^#/, ""));
  const state = { ...START };
  for (const kind of KINDS) if (said.get(kind)) Object.assign(state, { kind, of: said.get(kind) });
  for (const word of WORDS) {
    const value = said.get(word);
    if (value !== null && (!CHOICES[word] || CHOICES[word].includes(value))) state[word] = value;
  }
  const shapes = (said.get("shapes") ?? "").split(" ").map((piece) => piece.split("="));
  state.shapes = Object.fromEntries(shapes.filter(([name, shape]) => name && shape !== undefined));
  state.seed = integers(said.get("seed"))?.[0] ?? 0;
  state.pin = said.has("pin") ? integers(said.get("pin")) : null;
  state.sizes = integers(said.get("sizes")) ?? [];
  state.values = values(said.get("values"));
  return state;
}

function integers(text) {
  if (!text) return text === "" ? [] : null;
  const found = text.split(",").map(Number);
  return found.every((n) => Number.isInteger(n) && n >= 0) ? found : null;
}

function values(text) {
  try {
    const found = JSON.parse(text ?? "{}");
    return found && typeof found === "object" && !Array.isArray(found) ? found : {};
  } catch {
    return {};
  }
}

/** What of a state a view depends on: the rest is turned, lit or folded in the page alone. */
export const QUESTION = ["kind", "of", "shapes", "values", "seed", "wrt"];

/** Whether two states ask for the same view. */
export function sameQuestion(one, other) {
  return QUESTION.every((part) => JSON.stringify(one[part]) === JSON.stringify(other[part]));
}

/**
 * A state as the library is asked. The layout is not asked for: an answer has them all, and the
 * same question in another layout is answered at once.
 * @param {State} state
 * @throws {Error} in words, where a shape is none
 */
export function toRequest(state) {
  const source = { kind: state.kind, [state.kind === "expression" ? "text" : "name"]: state.of };
  const shapes = {};
  for (const [name, typed] of Object.entries(state.shapes)) {
    const shape = shapeOf(typed);
    if (!shape) throw new Error(`The shape of ${name}: expected sizes such as 4x3, 5 or scalar, got ${JSON.stringify(typed)}`);
    shapes[name] = shape;
  }
  const body = { source, shapes, values: state.values, seed: state.seed };
  if (state.wrt) body.wrt = state.wrt;
  return { ...body, layout: START.layout, vec: START.vec, textbook: null };
}

/** `4x3` or `4×3` as [4, 3]; null where it is no shape. A scalar is "" or "scalar". */
export function shapeOf(text) {
  const plain = text.trim().toLowerCase();
  if (plain === "" || plain === "scalar" || plain === "()") return [];
  const sizes = plain.replace(/[()]/g, "").split(/\s*[x×*,\s]\s*/).filter(Boolean);
  if (!sizes.every((size) => /^\d+$/.test(size))) return null;
  return sizes.map(Number);
}

/**
 * Holds the state and the page's address to each other.
 * @param {State} first
 * @param {boolean} addressed whether the page's address is ours to write
 */
export function makeStore(first, addressed) {
  let state = first;
  const listeners = new Set();
  const tell = (before) => listeners.forEach((call) => call(state, before));
  const store = {
    get: () => state,
    /** Change; "push" makes an entry of the browser's history, "replace" does not. */
    change(part, how = "push") {
      const before = state;
      state = { ...state, ...part };
      store.write(how);
      tell(before);
    },
    write(how) {
      if (!addressed) return;
      const fragment = `#${toFragment(state)}`;
      if (fragment === location.hash || (fragment === "#" && !location.hash)) return;
      try {
        history[how === "push" ? "pushState" : "replaceState"](null, "", fragment);
      } catch {
        addressed = false; // a frame without an address of its own
      }
    },
    onChange: (call) => listeners.add(call),
  };
  if (addressed) {
    const back = () => {
      const before = state;
      const next = fromFragment(location.hash);
      if (toFragment(next) === toFragment(state)) return;
      state = next;
      tell(before);
    };
    addEventListener("popstate", back);
    addEventListener("hashchange", back);
  }
  return store;
}
