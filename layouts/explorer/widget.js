/** The explorer in a notebook's cell: the page's modules, asking the kernel. */

/** The theme of the notebook, which need not be the system's, as a fragment; "" where it says none. */
function theme() {
  const { dataset, classList } = document.body;
  const dark = dataset.jpThemeLight === "false" || classList.contains("vscode-dark");
  const light = dataset.jpThemeLight === "true" || classList.contains("vscode-light");
  return dark ? "theme=dark" : light ? "theme=light" : "";
}

export default {
  async render({ model, el }) {
    const urls = {};
    for (const [name, text] of model.get("modules")) {
      // They come with those first that others import.
      const linked = text.replaceAll(/"\.\/([\w.-]+\.js)"/g, (_, other) => `"${urls[other]}"`);
      urls[name] = URL.createObjectURL(new Blob([linked], { type: "text/javascript" }));
    }
    const [{ mount }, { Refused }] = await Promise.all([import(urls["main.js"]), import(urls["api.js"])]);
    const waiting = new Map();
    const hear = ({ id, answer, error }) => {
      const asked = waiting.get(id);
      if (!asked) return; // another view of the same cell asked
      waiting.delete(id);
      if (error === undefined) asked.resolve(answer);
      else asked.reject(new Refused(error));
    };
    const request = (name, body) =>
      new Promise((resolve, reject) => {
        const id = `${name}-${Math.random()}`;
        waiting.set(id, { resolve, reject });
        model.send({ id, name, body });
      });
    model.on("msg:custom", hear);
    const root = document.createElement("div");
    // Keys are the view's while it has the focus: the notebook would take Enter and the arrows.
    root.dataset.lmSuppressShortcuts = "true";
    root.addEventListener("keydown", (event) => event.stopPropagation());
    el.append(root);
    mount(root, { request, data: model.get("data"), addressed: false, state: theme() });
    return () => {
      model.off("msg:custom", hear);
      Object.values(urls).forEach((url) => URL.revokeObjectURL(url));
    };
  },
};
