/** What can be taken away: a link, code, LaTeX, a file; and the theme. */

import { el, fill, set } from "./dom.js";

const THEMES = [["", "Theme: system"], ["light", "Theme: light"], ["dark", "Theme: dark"]];

/**
 * @param {object} options
 * @param {(() => Promise<string>)|null} options.save asks for the file; null offline
 * @param {() => string} options.code
 * @param {() => string} options.latex
 * @param {() => string} options.state as the address has it; the file opens with it
 * @param {boolean} options.addressed whether the page's address is the state
 * @param {(theme: string) => void} options.themed
 */
export function makeKeep({ save, code, latex, state, addressed, themed }) {
  const said = el("span.soft", { role: "status", "aria-live": "polite" });
  const button = (text, call, title) => el("button.quiet", { type: "button", title, on: { click: call } }, text);
  const copied = (what, text) => async () => {
    fill(said, (await copy(text())) ? `${what} copied` : "The browser does not let this page copy");
    setTimeout(() => fill(said), 2500);
  };
  const exported = async () => {
    fill(said, "Writing the file…");
    try {
      offer(withState(await save(), state()));
      fill(said, "Exported");
    } catch (error) {
      fill(said, error.message);
    }
    setTimeout(() => fill(said), 6000);
  };
  const file = button("Export", exported, "one HTML file that opens offline");
  if (!save) set(file, { title: "this is the exported file" });
  const theme = el("select.quiet", { "aria-label": "Theme", on: { change: () => themed(theme.value) } }, THEMES.map(([value, text]) => el("option", { value }, text)));
  const parts = [button("Copy JAX", copied("JAX code", code), "a program that computes this"), button("Copy LaTeX", copied("LaTeX", latex), "the derivation for a paper"), file];
  const root = el(
    "div.tools",
    { role: "group", "aria-label": "Keep" },
    said,
    addressed && location.protocol !== "about:" && button("Copy link", copied("Link", () => location.href), "the address holds all that you see"),
    parts,
    theme,
  );
  const ready = (is) => parts.forEach((one) => set(one, { disabled: !is || (one === file && !save) }));
  ready(false);
  return { root, ready, theme: (value) => (theme.value = value) };
}

/** A saved page that opens as this one stands; the state is percent-encoded, so it ends no attribute. */
function withState(text, state) {
  return text.replace('<div id="root">', () => `<div id="root" data-state="${state.replaceAll('"', "%22").replaceAll("&", "&amp;")}">`);
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const box = el("textarea.sr", { "aria-hidden": "true", tabindex: -1 });
    box.value = text;
    document.body.append(box);
    box.select();
    const done = document.execCommand("copy");
    box.remove();
    return done;
  }
}

function offer(text) {
  const address = URL.createObjectURL(new Blob([text], { type: "text/html" }));
  const link = el("a", { href: address, download: "jacobian.html" });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}
