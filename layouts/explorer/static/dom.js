/** Elements, text and formulas. Strings become text nodes, never markup. */

const SVG = "http://www.w3.org/2000/svg";
const MATHML = "http://www.w3.org/1998/Math/MathML";

/**
 * An element with its attributes and children.
 * `on` holds listeners, `style` goes through the CSSOM, null and false leave an attribute out.
 * @param {string} name such as "div" or "svg:path"; classes may follow, as in "p.muted"
 * @param {Object<string, any>} [attributes]
 * @param {...(Node|string|number|null|undefined|Array)} children
 */
export function el(name, attributes = {}, ...children) {
  const [kind, ...classes] = name.split(".");
  const node = kind.startsWith("svg:")
    ? document.createElementNS(SVG, kind.slice(4))
    : document.createElement(kind);
  if (classes.length) node.setAttribute("class", classes.join(" "));
  set(node, attributes);
  append(node, children);
  return node;
}

/** Set attributes, listeners and styles of an element that is there already. */
export function set(node, attributes) {
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "on") for (const [event, call] of Object.entries(value)) node.addEventListener(event, call);
    else if (key === "style") for (const [name, text] of Object.entries(value)) node.style.setProperty(name, text);
    else if (key === "class") node.classList.add(...String(value).split(" ").filter(Boolean));
    else if (value === null || value === undefined || value === false) node.removeAttribute(key);
    else node.setAttribute(key, value === true ? "" : String(value));
  }
  return node;
}

/** Append children, flat; what is null or false is left out. */
export function append(node, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : String(child));
  }
  return node;
}

/** Put new children in the place of the old ones. */
export function fill(node, ...children) {
  node.replaceChildren();
  return append(node, children);
}

/**
 * A formula of the library as nodes. It is parsed as XML apart from the page, and only MathML
 * elements with plain attributes are taken over; styles go through the CSSOM.
 * @param {string} markup one `<math>` element
 * @param {string} [words] what stands there if it cannot be read
 */
export function math(markup, words = "") {
  const parsed = new DOMParser().parseFromString(withNamespace(markup), "application/xml");
  const root = parsed.documentElement;
  if (!root || root.localName !== "math" || parsed.querySelector("parsererror")) {
    return el("code", {}, words || markup);
  }
  return taken(root);
}

function withNamespace(markup) {
  return markup.includes("xmlns=") ? markup : markup.replace("<math", `<math xmlns="${MATHML}"`);
}

function taken(node) {
  if (node.nodeType === 3) return document.createTextNode(node.data);
  const made = document.createElementNS(MATHML, node.localName);
  for (const { name, value } of Array.from(node.attributes ?? [])) {
    if (name === "style") restyled(made, value);
    else if (!name.startsWith("on") && !name.startsWith("xmlns") && !name.includes("href")) made.setAttribute(name, value);
  }
  for (const child of node.childNodes) if (child.nodeType === 1 || child.nodeType === 3) made.append(taken(child));
  return made;
}

function restyled(node, text) {
  for (const rule of text.split(";")) {
    const [name, value] = rule.split(":").map((part) => part.trim());
    if (value) node.style.setProperty(name, value);
  }
}

/** `4×3`, or `scalar`. */
export function times(shape) {
  return shape.length ? shape.join("×") : "scalar";
}

/** 1234567 as `1,234,567`. */
export function thousands(number) {
  return Number(number).toLocaleString("en-US");
}

// A notebook has several explorers on one page, each with modules of its own.
const own = Math.random().toString(36).slice(2, 8);
let count = 0;
/** An id that no other element has. */
export function fresh(word) {
  count += 1;
  return `lx-${word}-${own}${count}`;
}

/** Whether the reader has asked for less motion. */
export function still() {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}

/** Call at most once a frame, with the latest arguments. */
export function framed(call) {
  let asked = null;
  let latest;
  return (...given) => {
    latest = given;
    asked ??= requestAnimationFrame(() => {
      asked = null;
      call(...latest);
    });
  };
}
