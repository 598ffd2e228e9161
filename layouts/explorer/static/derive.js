/** The derivation, step by step. */

import { el, fill, math, set, times } from "./dom.js";

/**
 * @param {HTMLElement} root
 * @param {object} view
 * @param {object} arrangement steps that belong to another layout are left out
 * @param {(() => Promise<void>)|null} verify has the steps held against numbers, and shown anew; null offline
 */
export function showDerivation(root, view, arrangement, verify) {
  const { derivation } = view;
  const steps = derivation.steps.filter((step) => !step.layout || !arrangement.layout || step.layout === arrangement.layout || arrangement.layout === "mixed");
  const parts = [rule(view), ...headed(steps).map(([title, list]) => part(title, list))];
  if (derivation.definitions.length) {
    parts.push(el("section.part", {}, el("h3", {}, "where"), el("ul.steps.where", {}, derivation.definitions.map((one) => el("li", {}, el("div.formula", {}, math(one.mathml, one.text)))))));
  }
  root.classList.add("derivation");
  fill(
    root,
    parts,
    derivation.notes.map((note) => el("p.hint", {}, note)),
    derivation.checked ? el(derivation.ok ? "p.hint" : "p.error", { role: "status" }, `${derivation.checked}.`) : verify && checker(),
  );

  function checker() {
    const button = el("button", { type: "button" }, "Check each step in numbers");
    const error = el("div.error", { role: "alert", hidden: true });
    button.addEventListener("click", async () => {
      set(button, { disabled: true });
      set(error, { hidden: true });
      try {
        await verify();
      } catch (problem) {
        fill(error, problem.message);
        set(error, { hidden: false });
        set(button, { disabled: false });
      }
    });
    return el("div.part", {}, button, error);
  }
}

function rule({ vjp, output, wrt }) {
  const lines = [
    ["Pull back (VJP)", vjp.vjp],
    ["with indices", vjp.matrix ? vjp.vjp_indices : null],
    ["Push forward (JVP)", vjp.jvp],
  ].filter(([, formula]) => formula);
  return el(
    "section.panel.part",
    { "aria-label": `The rules of ${output.name} by ${wrt}` },
    el("h3", {}, "The rule"),
    el("dl.pairs", {}, lines.map(([title, formula]) => [el("dt", {}, title), el("dd", {}, math(formula.mathml, formula.text))])),
  );
}

function headed(steps) {
  const found = [];
  for (const step of steps) {
    if (found.at(-1)?.[0] === step.title) found.at(-1)[1].push(step);
    else found.push([step.title, [step]]);
  }
  return found;
}

function part(title, steps) {
  return el("section.part", {}, el("h3", {}, title), el("ol.steps", {}, steps.map(line)));
}

function line(step) {
  const shape = el("span.shape", { title: "shape of what the step arrives at" }, times(step.shape));
  const row = el("li", { "data-kind": step.kind }, el("div.formula", {}, math(step.formula.mathml, step.formula.text)), el("div.reason", {}, step.reason), shape);
  if (step.check !== null && step.check !== undefined) set(shape, { "data-check": step.check }).append(` ✓ ${Number(step.check).toExponential(0)}`);
  return row;
}
