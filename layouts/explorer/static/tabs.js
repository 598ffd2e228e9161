/** Tabs as screen readers and keyboards know them. */

import { el, fresh, set } from "./dom.js";

/**
 * @param {[string, string, HTMLElement][]} parts key, title, content
 * @param {(key: string) => void} chosen
 */
export function makeTabs(parts, chosen) {
  const made = parts.map(([key, title, content]) => {
    const [tab, panel] = [fresh("tab"), fresh("panel")];
    const button = el("button", { type: "button", role: "tab", id: tab, "aria-controls": panel, on: { click: () => chosen(key) } }, title);
    return { key, button, panel: el("div.tab", { role: "tabpanel", id: panel, "aria-labelledby": tab, tabindex: 0 }, content) };
  });
  const list = el("div.tabs", { role: "tablist", "aria-label": "More about this Jacobian" }, made.map(({ button }) => button));
  list.addEventListener("keydown", (event) => {
    const at = made.findIndex(({ button }) => button === event.target);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: -1 }[event.key];
    if (to === undefined || at < 0) return;
    const next = made[(to + made.length) % made.length];
    event.preventDefault();
    next.button.focus();
    chosen(next.key);
  });
  return {
    nodes: [list, ...made.map(({ panel }) => panel)],
    choose(key) {
      for (const one of made) {
        const on = one.key === key;
        set(one.button, { "aria-selected": String(on), tabindex: on ? 0 : -1 });
        set(one.panel, { hidden: !on });
        if (on) list.scrollLeft = one.button.offsetLeft - list.offsetLeft - 40;
      }
    },
  };
}
