/** A hand-written formula, and what the doctor says of it. */

import { el, fill, fresh, math, set } from "./dom.js";

/**
 * @param {object} options
 * @param {((formula: string) => Promise<object|null>)|null} options.ask null offline
 * @param {(formula: string) => void} options.typed
 */
export function makeCheck({ ask, typed }) {
  const id = fresh("formula");
  const box = el("input", { id, type: "text", autocomplete: "off", autocapitalize: "off", spellcheck: "false" });
  const button = el("button.primary", { type: "submit" }, "Check");
  const rightOne = el("button.quiet", { type: "button" }, "Fill in the right one");
  const error = el("div.error", { role: "alert", hidden: true });
  const verdict = el("div", { "aria-live": "polite" });
  const intro = el("p.soft.field");
  const form = el(
    "form.field",
    { "aria-label": "Check a formula" },
    el("div.checks", {}, el("div", {}, el("label", { for: id }), box), button),
    el("p.hint.below", {}, rightOne),
    error,
  );
  const label = form.querySelector("label");
  const check = { root: el("div", {}, intro, form, verdict), view: null, formula: "" };

  check.use = (view, formula) => {
    check.view = view;
    const { cotangent, numpy } = view.vjp;
    fill(label, `∂L/∂${view.wrt} as you would write it, with ${cotangent} for ∂L/∂${view.output.name}`);
    set(box, { placeholder: numpy ?? `${cotangent} …` });
    set(rightOne, { hidden: !numpy || !ask });
    fill(intro, ask
      ? "Write the backward pass by hand. The doctor compares it with the true derivative at several random inputs, and says which mistake it is if it is one."
      : "A formula is checked by the library: open this page with `layouts serve` to use it.");
    if (formula !== check.formula) box.value = formula; // else what is typed and not yet sent stays
    check.formula = formula;
    set(error, { hidden: true });
    fill(verdict);
    if (formula) run(formula);
  };

  const run = async (formula) => {
    if (!ask || !formula) return;
    const { view } = check;
    set(error, { hidden: true });
    fill(verdict, el("p.waiting", {}, "The doctor is trying the classical mistakes…"));
    set(button, { disabled: true });
    try {
      const found = await ask(formula);
      if (found && view === check.view) fill(verdict, report(found));
    } catch (problem) {
      if (view !== check.view) return; // another function is drawn by now
      fill(verdict);
      set(error, { hidden: false });
      fill(error, problem.message);
    } finally {
      set(button, { disabled: false });
    }
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    check.formula = box.value.trim();
    typed(check.formula);
    run(check.formula);
  });
  rightOne.addEventListener("click", () => {
    box.value = check.view.vjp.numpy ?? "";
    box.focus();
  });
  if (!ask) for (const one of [box, button]) set(one, { disabled: true });
  return check;
}

function report(found) {
  return el(
    "section.verdict",
    { class: found.ok ? "correct" : "", "data-verdict": found.verdict },
    el("h3", {}, found.summary),
    found.formula && el("p", {}, el("span.soft", {}, "read as "), math(found.formula.mathml, found.formula.text)),
    found.findings.map(finding),
    found.notes.map((note) => el("p.hint", {}, note)),
  );
}

function finding(one) {
  const lines = [
    ["what", one.message],
    ["wrong", formula(one.wrong_formula, one.wrong)],
    ["right", formula(one.right_formula, one.right)],
    ["where", one.where],
    ["fix", one.correction],
  ].filter(([, text]) => text);
  return el("dl.pairs", { "data-kind": one.kind }, lines.map(([title, text]) => [el("dt", {}, title), el("dd", {}, text)]));
}

const formula = (written, text) => (written ? math(written.mathml, written.text) : text && el("code", {}, text));
