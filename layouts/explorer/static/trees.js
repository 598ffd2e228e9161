/** What it costs: the orders of a chain as trees, totals as bars, times on demand. */

import { append, el, fill, fresh, framed, set, thousands } from "./dom.js";

const ORDERS = [["forward", "Forward", "from the input"], ["reverse", "Reverse", "from the output"], ["optimal", "Optimal", "the cheapest bracketing"]];
const SAMPLE = [6, 40, 3, 40, 8];
const MOST_SLIDER = 400;

/**
 * @param {object} options
 * @param {((sizes: number[]) => Promise<object|null>)|null} options.chain null offline
 * @param {(() => Promise<object|null>)|null} options.measure null offline
 * @param {(sizes: number[]) => void} options.sized
 * @param {(along: string) => void} options.varied
 */
export function makeWeigh({ chain, measure, sized, varied }) {
  const root = el("div");
  const weigh = { root, which: 0, reversed: false };

  /** Draw the products in the layout's order of multiplication. */
  weigh.turn = ({ layout }) => {
    const reversed = layout === "denominator";
    if (reversed === weigh.reversed) return;
    weigh.reversed = reversed;
    if (weigh.answer && weigh.parts) draw(weigh.answer);
  };

  weigh.use = (view, sizes, along) => {
    const own = view.costs?.bracketings ?? null;
    weigh.sizes = sizes.length ? sizes : own?.sizes ?? SAMPLE;
    const which = Math.trunc(Number(along));
    weigh.which = which > 0 ? Math.min(which, weigh.sizes.length - 1) : 0;
    const trees = el("div.orders");
    const sliders = el("div.sliders");
    const curve = el("div");
    const error = el("div.error", { role: "alert", hidden: true });
    const said = el("p.hint", { "aria-live": "polite" });
    weigh.parts = { trees, sliders, curve, error, said };
    fill(
      root,
      ways(view, measure),
      el("h3.gap", {}, own && !sizes.length ? "The same chain of dense matrices, in three orders" : "A chain of matrices, in three orders"),
      el("p.hint", {}, (view.costs?.bracketings_note || own?.convention) ?? "This function is no chain; here the question stands on its own: in which order should matrices be multiplied?"),
      own && !sizes.length && named(own.names),
      sliders, said, error, trees, curve,
    );
    slide();
    if (own && !sizes.length && !chain) draw(own);
    else if (chain) ask();
    else fill(trees, el("p.hint", {}, "No chain was saved with this page."));
  };

  const slide = () => {
    const { sliders } = weigh.parts;
    const last = weigh.sizes.length - 1;
    fill(sliders, weigh.sizes.map((size, n) => {
      const id = fresh("size");
      const out = el("output", { for: id }, size);
      const range = el("input", {
        type: "range", id, min: 1, max: Math.max(MOST_SLIDER, size), value: size,
        on: {
          input: () => {
            weigh.sizes = weigh.sizes.map((one, k) => (k === n ? Number(range.value) : one));
            fill(out, range.value);
            later();
          },
          change: () => sized(weigh.sizes),
        },
      });
      if (!chain) set(range, { disabled: true, title: "needs the library: open with `layouts serve`" });
      const title = n === 0 ? "n0, the input" : n === last ? `n${n}, the output` : `n${n}`;
      return el("div.slider", {}, el("label", { for: id }, title), out, range);
    }));
    if (chain) append(sliders, [el("div.slider.buttons", {}, longer(), shorter())]);
  };
  const longer = () => el("button.quiet", { type: "button", on: { click: () => resize([...weigh.sizes, weigh.sizes.at(-1)]) } }, "One factor more");
  const shorter = () => el("button.quiet", { type: "button", disabled: weigh.sizes.length <= 3, on: { click: () => resize(weigh.sizes.slice(0, -1)) } }, "One less");
  const resize = (sizes) => {
    weigh.sizes = sizes.slice(0, 9);
    weigh.which = Math.min(weigh.which, weigh.sizes.length - 1);
    slide();
    sized(weigh.sizes);
    ask();
  };

  /** One question at a time, the latest next, so that the picture follows while a size changes. */
  const ask = async () => {
    weigh.due = true;
    if (weigh.asking) return;
    weigh.asking = true;
    while (weigh.due) {
      weigh.due = false;
      const { parts, sizes } = weigh;
      const current = () => parts === weigh.parts; // another function may be drawn by then
      try {
        const found = await chain(sizes);
        if (!found || !current()) continue;
        set(parts.error, { hidden: true });
        draw(found);
      } catch (problem) {
        if (!current()) continue;
        set(parts.error, { hidden: false });
        fill(parts.error, problem.message);
      }
    }
    weigh.asking = false;
  };
  const later = framed(ask);

  const draw = (found) => {
    weigh.answer = found;
    const { trees, said } = weigh.parts;
    const most = Math.max(found.forward.total, found.reverse.total, 1);
    fill(trees, ORDERS.map(([key, title, how]) => order(title, how, weigh.reversed ? transposed(found[key]) : found[key], most, found[key].total === found.optimal.total)));
    const cheaper = { forward: "Forward is the cheaper of the two ends", reverse: "Reverse is the cheaper of the two ends", equal: "Forward and reverse cost the same" }[found.cheaper];
    const gain = Math.min(found.forward.total, found.reverse.total) / Math.max(1, found.optimal.total);
    fill(said, cheaper ? `${cheaper}; ${gain > 1.005 ? `the best bracketing takes ${gain.toFixed(gain < 10 ? 1 : 0)} times fewer multiplications.` : "no bracketing beats it."}` : "");
    cross(found);
  };

  const vary = (which, found) => {
    weigh.which = which;
    varied(which ? String(which) : "");
    cross(found);
  };

  const cross = (found) => {
    const { crossovers, sizes } = found;
    const one = crossovers?.find(({ which }) => which === weigh.which);
    if (!one) return;
    const chosen = weigh.parts.curve.contains(document.activeElement);
    const pick = el("select", { "aria-label": "The size that varies", on: { change: () => vary(Number(pick.value), found) } }, sizes.map((_, n) => el("option", { value: n }, `n${n}`)));
    pick.value = String(weigh.which);
    const width = Math.min(WIDEST, Math.max(280, weigh.parts.curve.clientWidth - 40));
    fill(weigh.parts.curve, curves(one, sizes[weigh.which], weigh.which, pick, width));
    if (chosen) pick.focus();
  };
  return weigh;
}

/** The transpose of a product: the transposes of its factors the other way round, as dear as before. */
function transposed(tree) {
  const turned = { ...tree, rows: tree.columns, columns: tree.rows };
  if (!tree.left) return { ...turned, name: `${tree.name}ᵀ`, text: `${tree.name}ᵀ` };
  const [left, right] = [transposed(tree.right), transposed(tree.left)];
  const bracketed = (one) => (one.left ? `(${one.text})` : one.text);
  return { ...turned, left, right, text: `${bracketed(left)} ${bracketed(right)}` };
}

/** What the factors are, where they have names. */
function named(names) {
  const said = names.map((name, n) => !name.startsWith(`J${n + 1}`) && `J${n + 1} = ${name}`).filter(Boolean);
  return said.length ? el("p.hint.mono", {}, said.join(",  ")) : null;
}

/** The function's own costs as bars, and times beside them. */
function ways(view, measure) {
  const { costs } = view;
  if (!costs) return el("p.hint", {}, "This function asks for numbers while it is traced, so its costs are not known.");
  const most = Math.max(1, ...costs.ways.map(({ multiplications }) => multiplications));
  const least = Math.min(...costs.ways.map(({ multiplications }) => multiplications));
  const times = new Map(costs.ways.map(({ name }) => [name, el("span.number.soft")]));
  const rows = costs.ways.map(({ name, title, multiplications }) => [
    el("span", {}, title || name),
    bar(multiplications / most, multiplications === least),
    el("span.number", {}, thousands(multiplications)),
    times.get(name),
  ]);
  const error = el("div.error", { role: "alert", hidden: true });
  const note = el("p.hint", { "aria-live": "polite" });
  const button = el("button", { type: "button" }, "Measure times");
  button.addEventListener("click", async () => {
    set(button, { disabled: true });
    fill(note, "Compiling and timing…");
    set(error, { hidden: true });
    try {
      const found = await measure();
      if (!found) return;
      for (const { name, milliseconds } of found.ways) fill(times.get(name) ?? el("i"), duration(milliseconds));
      fill(note, `${found.note} JAX ${found.jax}, ${found.device}, ${found.dtype}; the median of ${found.repetitions}.`);
    } catch (problem) {
      fill(note);
      set(error, { hidden: false });
      fill(error, problem.message);
    } finally {
      set(button, { disabled: false });
    }
  });
  if (!measure) set(button, { disabled: true, title: "needs the library: open with `layouts serve`" });
  return el(
    "section",
    {},
    el("div.caption", {}, el("h3", {}, "Multiplications of this Jacobian"), button),
    el("div.bars.four", {}, rows),
    note, error,
    el("p.hint", {}, sentence(costs.convention)),
    el("details", {}, el("summary", {}, "What the plan multiplies"), el("pre.mono", {}, costs.tree)),
  );
}

function bar(part, best) {
  return el("div.bar", { "aria-hidden": "true" }, el("i", { class: best ? "best" : "", style: { width: `${Math.max(0.6, 100 * part)}%` } }));
}

const sentence = (words) => `${words[0].toUpperCase()}${words.slice(1)}${words.endsWith(".") ? "" : "."}`;
const duration = (milliseconds) => (milliseconds >= 1 ? `${milliseconds.toPrecision(3)} ms` : `${(1000 * milliseconds).toPrecision(3)} µs`);

function order(title, how, tree, most, best) {
  return el(
    "section.panel",
    { class: best ? "best" : "" },
    el("h3", {}, title, " ", el("span.soft", {}, how)),
    el("p.mono", {}, tree.text),
    el("p.total", {}, thousands(tree.total)),
    bar(tree.total / most, best),
    el("div.scroll", {}, drawing(tree)),
  );
}

const NODE = { width: 86, height: 40, x: 10, y: 26 };

/** A bracketing as a picture: factors in their order below, each product above what it multiplies. */
function drawing(tree) {
  const nodes = [];
  let leaves = 0;
  const walk = (one, depth) => {
    if (!one.left) {
      const x = leaves++ * (NODE.width + NODE.x) + NODE.width / 2;
      nodes.push({ one, x, depth, from: [] });
      return x;
    }
    const from = [walk(one.left, depth + 1), walk(one.right, depth + 1)];
    const x = (from[0] + from[1]) / 2;
    nodes.push({ one, x, depth, from });
    return x;
  };
  walk(tree, 0);
  const deepest = Math.max(...nodes.map(({ depth }) => depth));
  const y = (depth) => 4 + depth * (NODE.height + NODE.y);
  const width = leaves * (NODE.width + NODE.x) - NODE.x + 4;
  const height = y(deepest) + NODE.height + 4;
  const lines = nodes.flatMap(({ x, depth, from }) => from.map((other) =>
    el("svg:path", { d: `M${x + 2} ${y(depth) + NODE.height}L${other + 2} ${y(depth + 1)}`, style: { stroke: "var(--line-strong)", fill: "none" } })));
  const boxes = nodes.map(({ one, x, depth }) => {
    const product = Boolean(one.left);
    return el(
      "svg:g",
      { transform: `translate(${x + 2 - NODE.width / 2} ${y(depth)})` },
      el("svg:rect", { width: NODE.width, height: NODE.height, rx: 6, style: { fill: product ? "var(--wash)" : "var(--sheet)", stroke: "var(--line-strong)" } }),
      el("svg:text", { x: NODE.width / 2, y: 17, "text-anchor": "middle", style: { "font-weight": "600", "font-size": "12.5px" } }, product ? thousands(one.multiplications) : one.name),
      el("svg:text", { x: NODE.width / 2, y: 32, "text-anchor": "middle", style: { "font-size": "11px", fill: "var(--soft)" } }, product ? `${one.rows}·${one.inner}·${one.columns}` : `${one.rows}×${one.columns}`),
    );
  });
  return el("svg:svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": spoken(tree), style: { "max-width": "100%", "min-width": `${0.7 * width}px`, height: "auto", display: "block", margin: "12px auto 0" } }, lines, boxes);
}

const spoken = (tree) => (tree.left ? `${tree.text}: ${thousands(tree.total)} multiplications` : tree.name);

const WIDEST = 640;
const PLOT = { height: 220, left: 58, right: 16, top: 14, bottom: 40 };
// The optimum lies on one of the others or below: a band that they are drawn upon.
const CURVES = [["optimal", { stroke: "var(--link)", "stroke-width": "8", opacity: ".35" }], ["forward", { stroke: "var(--negative)", "stroke-width": "2" }], ["reverse", { stroke: "var(--positive)", "stroke-width": "2", "stroke-dasharray": "7 4" }]];

/** Forward, reverse and optimal while one size varies, and where the first two meet. */
function curves({ values, crossing, ...costs }, now, which, pick, width) {
  const highest = Math.log10(Math.max(...costs.forward, ...costs.reverse, 10));
  const lowest = Math.log10(Math.max(1, Math.min(...costs.optimal)));
  const [first, last] = [values[0], values.at(-1)];
  const across = (value) => PLOT.left + ((Math.log(value) - Math.log(first)) / (Math.log(last) - Math.log(first) || 1)) * (width - PLOT.left - PLOT.right);
  const down = (cost) => PLOT.top + (1 - (Math.log10(Math.max(1, cost)) - lowest) / (highest - lowest || 1)) * (PLOT.height - PLOT.top - PLOT.bottom);
  const path = (list) => list.map((cost, n) => `${n ? "L" : "M"}${across(values[n]).toFixed(1)} ${down(cost).toFixed(1)}`).join("");
  const upright = (value, style) => el("svg:path", { d: `M${across(value)} ${PLOT.top}V${PLOT.height - PLOT.bottom}`, style: { fill: "none", ...style } });
  const text = (x, y, words, anchor = "middle") => el("svg:text", { x, y, "text-anchor": anchor, style: { "font-size": "12px", fill: "var(--soft)" } }, words);
  const inside = (value) => value !== null && value >= first && value <= last;
  const meets = inside(crossing) ? `forward and reverse cost the same at n${which} = ${Number(crossing.toFixed(1))}` : "forward and reverse never cost the same here";
  const ticks = values.filter((_, n) => n === 0 || n === values.length - 1 || n === Math.floor(values.length / 2));
  return el(
    "figure.panel.curve",
    {},
    el("div.caption.pick", {}, el("h3", {}, "Along ", pick, " ", el("span.soft", {}, meets))),
    el("svg:svg", { viewBox: `0 0 ${width} ${PLOT.height}`, role: "img", "aria-label": `Multiplications as n${which} varies from ${first} to ${last}: ${meets}`, style: { width: "100%", "max-width": "760px", height: "auto", display: "block" } },
      el("svg:path", { d: `M${PLOT.left} ${PLOT.top}V${PLOT.height - PLOT.bottom}H${width - PLOT.right}`, style: { stroke: "var(--line-strong)", fill: "none" } }),
      inside(now) && upright(now, { stroke: "var(--line-strong)" }),
      inside(crossing) && upright(crossing, { stroke: "var(--ink)", "stroke-dasharray": "3 3" }),
      CURVES.map(([key, style]) => el("svg:path", { d: path(costs[key]), style: { ...style, fill: "none" } })),
      ticks.map((value) => text(across(value), PLOT.height - PLOT.bottom + 18, value)),
      text(width / 2, PLOT.height - 4, `n${which}`),
      text(PLOT.left - 6, down(10 ** highest) + 10, thousands(Math.round(10 ** highest)), "end"),
      text(PLOT.left - 6, down(10 ** lowest), thousands(Math.round(10 ** lowest)), "end"),
    ),
    el("div.legend-row", {}, CURVES.map(([key, style]) => el("span.key", {}, el("svg:svg", { width: 26, height: 8, "aria-hidden": "true" }, el("svg:path", { d: "M0 4H26", style })), key))),
  );
}
