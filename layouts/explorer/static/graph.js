/** The program as a graph, forward and backward side by side; matching parts are lit together. */

import { el, fill, fresh, math, set, times } from "./dom.js";

const BOX = { width: 92, height: 46 };
const SPACE = { x: 26, y: 44 };
const MARGIN = 14;

/**
 * @param {HTMLElement} root
 * @param {object} view
 * @param {string} chosen the part that is pinned, such as "v:z1"; "" for one that tells most
 * @param {(id: string) => void} pin
 */
export function showGraphs(root, view, chosen, pin) {
  const { vertices, edges, note } = view.graph;
  const places = placed(vertices, edges);
  const shapes = new Map(view.arrays.map((array) => [array.name, array.shape]));
  const told = el("div.panel.told", { "aria-live": "polite" });
  const parts = new Map();
  const pictures = [
    picture("Forward: values", "values flow from the inputs to the output; an array used twice branches", false, view, places, shapes, parts),
    picture("Backward: gradients", "gradients flow back along the same edges; where it branched, they are summed", true, view, places, shapes, parts),
  ];
  const telling = vertices.find(({ branch, on_path: on }) => branch && on) ?? vertices.find(({ name }) => name === view.wrt);
  const usual = telling?.id ?? "";
  let pinned = parts.has(chosen) ? chosen : usual;
  const light = (id) => {
    for (const [one, nodes] of parts) {
      for (const node of nodes) {
        node.classList.toggle("on", one === id);
        set(node, { "aria-pressed": String(one === pinned) });
      }
    }
    say(told, view, shapes, id);
  };
  const choose = (id) => {
    pinned = pinned === id ? usual : id;
    pin(pinned === usual ? "" : pinned);
    light(id);
  };
  for (const [id, nodes] of parts) {
    for (const node of nodes) {
      node.addEventListener("pointerenter", () => light(id));
      node.addEventListener("pointerleave", () => light(pinned));
      node.addEventListener("focus", () => light(id));
      node.addEventListener("blur", () => light(pinned));
      node.addEventListener("click", () => choose(id));
      node.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        choose(id);
      });
    }
  }
  fill(root, el("div.graphs", {}, pictures), told, note && el("p.hint", {}, note));
  light(pinned);
}

/**
 * Where vertices stand: a row for each layer, an input just above its first use. Pure.
 * @returns {{at: Map<string, {x: number, y: number}>, width: number, height: number}}
 */
export function placed(vertices, edges) {
  const layer = new Map(vertices.map(({ id, layer: own }) => [id, own]));
  for (const { id, role } of vertices) {
    const heads = edges.filter(({ tail }) => tail === id).map(({ head }) => layer.get(head));
    if (role === "input" && heads.length) layer.set(id, Math.max(0, Math.min(...heads) - 1));
  }
  const rows = [];
  for (const { id } of vertices) (rows[layer.get(id)] ??= []).push(id);
  const filled = rows.filter(Boolean);
  ordered(filled, edges);
  const widest = Math.max(...filled.map((row) => row.length));
  const width = widest * (BOX.width + SPACE.x) - SPACE.x + 2 * MARGIN;
  const at = new Map();
  filled.forEach((row, n) => {
    const start = (width - row.length * (BOX.width + SPACE.x) + SPACE.x) / 2;
    row.forEach((id, k) => at.set(id, { x: start + k * (BOX.width + SPACE.x), y: MARGIN + n * (BOX.height + SPACE.y) }));
  });
  return { at, width, height: filled.length * (BOX.height + SPACE.y) - SPACE.y + 2 * MARGIN };
}

/** Fewer crossings: each row in the order of the mean place of what it is tied to above. */
function ordered(rows, edges) {
  for (let n = 1; n < rows.length; n += 1) {
    const above = new Map(rows[n - 1].map((id, k) => [id, k]));
    const mean = (id) => {
      const found = edges.filter(({ head, tail }) => head === id && above.has(tail)).map(({ tail }) => above.get(tail));
      return found.length ? found.reduce((sum, k) => sum + k, 0) / found.length : rows[n].indexOf(id);
    };
    const means = new Map(rows[n].map((id) => [id, mean(id)]));
    rows[n].sort((a, b) => means.get(a) - means.get(b));
  }
}

function picture(title, hint, backward, view, { at, width, height }, shapes, parts) {
  const { vertices, edges } = view.graph;
  const named = new Map(vertices.map((vertex) => [vertex.id, vertex]));
  const keep = (id, node) => {
    parts.set(id, [...(parts.get(id) ?? []), node]);
    return node;
  };
  const svg = el(
    "svg:svg",
    { viewBox: `0 0 ${width} ${height}`, width, height, role: "group", "aria-label": title, style: { "max-width": "100%", "min-width": `${0.7 * width}px`, height: "auto", display: "block", margin: "0 auto" } },
    edges.filter((edge) => !backward || edge.on_path).map((edge) => keep(edge.id, arrow(edge, at, backward, named))),
    vertices.map((vertex) => keep(vertex.id, box(vertex, at.get(vertex.id), backward, view, shapes))),
  );
  const id = fresh("graph");
  return el("figure.panel", { "aria-labelledby": id }, el("h3", { id }, title), el("p.hint", {}, hint), el("div.scroll", {}, svg));
}

function arrow(edge, at, backward, named) {
  const tail = at.get(edge.tail);
  const head = at.get(edge.head);
  const from = { x: tail.x + BOX.width / 2, y: tail.y + BOX.height };
  const to = { x: head.x + BOX.width / 2, y: head.y };
  const [a, b] = backward ? [to, from] : [from, to];
  const way = Math.sign(b.y - a.y) || 1;
  const bend = Math.max(18, Math.abs(b.y - a.y) / 2.4) * way;
  const tip = { x: b.x, y: b.y - 8 * way };
  const label = `${backward ? "gradient" : "value"} from ${named.get(backward ? edge.head : edge.tail).name} to ${named.get(backward ? edge.tail : edge.head).name}${edge.uses > 1 ? `, ${edge.uses} times` : ""}`;
  const line = `M${a.x} ${a.y}C${a.x} ${a.y + bend} ${tip.x} ${tip.y - bend} ${tip.x} ${tip.y}`;
  return el(
    "svg:g.edge",
    { tabindex: 0, role: "button", "aria-label": label, "data-id": edge.id },
    el("svg:path", { d: line, style: edge.on_path ? {} : { "stroke-dasharray": "2 4" } }),
    el("svg:path", { d: line, style: { stroke: "transparent", "stroke-width": "14px" } }),
    el("svg:path.tip", { d: `M${b.x} ${b.y}l-4.5 ${-9 * way}h9z` }),
    edge.uses > 1 && el("svg:text", { x: (a.x + b.x) / 2 + 8, y: (a.y + b.y) / 2 }, `×${edge.uses}`),
  );
}

function box(vertex, place, backward, view, shapes) {
  const gradient = backward && vertex.on_path;
  const word = vertex.branch ? (backward ? (gradient ? `Σ of ${vertex.uses}` : "") : `branch ×${vertex.uses}`) : "";
  const name = gradient ? `∂L/∂${vertex.name}` : vertex.name;
  const shape = times(shapes.get(vertex.name) ?? []);
  const label = [name, shape, word && (backward ? `sum of ${vertex.uses} gradients` : `branches into ${vertex.uses}`), vertex.name === view.wrt && "differentiated by"];
  return el(
    "svg:g.node",
    {
      class: word ? (backward ? "sum" : "branch") : "",
      tabindex: 0, role: "button", "aria-label": label.filter(Boolean).join(", "), "data-id": vertex.id,
      transform: `translate(${place.x} ${place.y})`,
      style: { opacity: backward && !vertex.on_path ? ".65" : "1" },
    },
    el("svg:rect", { width: BOX.width, height: BOX.height, rx: 7, style: vertex.name === view.wrt ? { "stroke-width": "2.2px" } : {} }),
    el("svg:text", { x: BOX.width / 2, y: 19, "text-anchor": "middle", style: { "font-weight": "600" } }, name),
    el("svg:text", { x: BOX.width / 2, y: 36, "text-anchor": "middle", style: { "font-size": "11.5px", fill: word ? "var(--link)" : "var(--soft)" } }, word || shape),
  );
}

function say(root, view, shapes, id) {
  const { vertices, edges } = view.graph;
  const vertex = vertices.find((one) => one.id === id);
  const edge = edges.find((one) => one.id === id);
  const name = (of) => vertices.find((one) => one.id === of).name;
  if (vertex) {
    fill(root, el("h3", {}, `${vertex.name}, ${times(shapes.get(vertex.name) ?? [])}`), pairs([
      ["forward", vertex.value],
      ["backward", vertex.gradient],
      ["", vertex.branch && `${vertex.name} is used ${vertex.uses} times: forward a branch, backward a sum of ${vertex.uses} terms.`],
    ]));
  } else if (edge) {
    fill(root, el("h3", {}, `${name(edge.tail)} → ${name(edge.head)}`), pairs([
      ["local derivative", edge.local],
      ["forward", edge.forward],
      ["backward", edge.backward],
      ["", edge.uses > 1 && `${name(edge.head)} uses ${name(edge.tail)} ${edge.uses} times: the terms add.`],
    ]));
  } else fill(root, el("p.hint", {}, "Point at a vertex or an edge: the same part lights up in the other picture."));
}

function pairs(lines) {
  return el("dl.pairs", {}, lines.filter(([, what]) => what).map(([title, what]) => [
    el("dt", {}, title), el("dd", {}, typeof what === "string" ? what : math(what.mathml, what.text)),
  ]));
}
