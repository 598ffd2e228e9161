"""The explorer as one file and in a notebook: it stands alone, and nothing in it can do harm."""

import base64
import hashlib
import json
import re
from functools import partial
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import layouts
from layouts.errors import LayoutError
from layouts.explorer import export
from layouts.explorer.export import document, modules
from layouts.explorer.notebook import Explorer

HOSTILE = "</script><script>alert(1)</script><!--<script>\u2028&amp;"


def data_of(page):
    return json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])


def policy_of(page):
    text = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)[1]
    return dict(part.split(" ", 1) for part in text.split("; "))


def test_the_data_stand_in_the_page_and_end_nothing():
    page = document({"view": {HOSTILE: [HOSTILE, 1.5, None]}})
    assert data_of(page) == {"view": {HOSTILE: [HOSTILE, 1.5, None]}}
    assert page.count("</script>") == document({}).count("</script>")
    assert HOSTILE[:9] + HOSTILE[9:] not in page and "alert(1)</" not in page


def test_the_title_is_escaped():
    page = document({}, "</title><script>alert(1)</script>")
    assert "<title>&lt;/title&gt;&lt;script&gt;" in page
    assert page.count("<script") == document({}).count("<script")


def test_nothing_is_fetched():
    page = document({})
    assert not re.search(r'\b(src|href)="(?!data:)', page)
    assert "@import" not in page and "url(" not in re.sub(r"url\(data:", "", page)
    policy = policy_of(page)
    assert policy["default-src"] == "'none'" and "connect-src" not in policy
    assert "unsafe" not in str(policy) and "http" not in str(policy)


def test_the_policy_has_the_hash_of_every_script_and_style():
    page, policy = document({"x": 1}), policy_of(document({"x": 1}))

    def hashed(text):
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    scripts = re.findall(r"<script([^>]*)>(.*?)</script>", page, re.DOTALL)
    running = [text for kind, text in scripts if "application/json" not in kind]
    assert len(scripts) == 3 and len(running) == 2
    for text in running:
        assert hashed(text) in policy["script-src"]
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    assert hashed(style) == policy["style-src"]
    assert not re.search(r'\sstyle="|\son\w+="', page)


def test_every_module_stands_behind_those_that_it_imports():
    seen = set()
    for name, text in modules().items():
        assert {found for _, found in export._IMPORTED.findall(text)} <= seen, name
        seen.add(name)
    assert seen == {path.name for path in export.STATIC.glob("*.js")}


def test_every_import_is_one_that_can_be_rewritten():
    for path in export.STATIC.glob("*.js"):
        for line in re.findall(
            r"^\s*(?:import|export .* from)\b.*$", path.read_text(), re.MULTILINE
        ):
            assert re.search(r'from "\./[\w.-]+\.js";$|^import \{$', line), f"{path.name}: {line}"


def test_modules_in_a_circle_are_named(tmp_path, monkeypatch):
    (tmp_path / "a.js").write_text('import { b } from "./b.js";')
    (tmp_path / "b.js").write_text('import { a } from "./a.js";')
    monkeypatch.setattr(export, "STATIC", tmp_path)
    with pytest.raises(RuntimeError, match=r"a\.js"):
        modules()


# In a notebook.

W = jax.random.normal(jax.random.key(1), (4, 3))
X = jax.random.normal(jax.random.key(2), (3, 5))


def product(W, X):
    return W @ X


@pytest.fixture(scope="module")
def shown():
    return layouts.explore(product, W, X, wrt="X")


def test_it_shows_the_functions_own_values(shown):
    view = shown.ask("view", shown._state)
    inputs = {array["name"]: array for array in view["inputs"]}
    for name, array in (("W", W), ("X", X)):
        assert inputs[name]["shape"] == list(array.shape)
        np.testing.assert_array_equal(inputs[name]["values"], np.asarray(array).ravel())
    assert view["state"]["wrt"] == "X" and repr(shown) == "Explorer: D by X, with W 4×3, X 3×5"
    assert data_of(shown.html())["view"] == view


def test_what_is_no_array_of_floats_is_held_fixed():
    found = layouts.explore(lambda n, x, more: n * x * more["s"], 3, jnp.arange(5.0), {"s": 2.0})
    view = found.ask("view", found._state)
    assert [array["name"] for array in view["inputs"]] == ["x"]
    dense = np.reshape(view["jacobian"]["cells"]["values"], (5, 5))
    np.testing.assert_array_equal(dense, 6 * np.eye(5))


@pytest.mark.parametrize("fun", [lambda *xs: xs[0] @ xs[1], partial(jnp.matmul), jnp.matmul])
def test_functions_without_names_for_their_arguments(fun):
    assert "by" in repr(layouts.explore(fun, W, X, argnums=1))


def test_numbers_that_json_does_not_have():
    found = layouts.explore(jnp.sin, jnp.array([jnp.nan, jnp.inf, -jnp.inf, 1.5]))
    values = found.ask("view", found._state)["inputs"][0]["values"]
    assert values == ["NaN", "Infinity", "-Infinity", 1.5]


@pytest.mark.parametrize(
    "call, reason",
    [
        (lambda: layouts.explore(product), "arguments"),
        (lambda: layouts.explore(product, 1, "x"), "arguments"),
        (lambda: layouts.explore(product, W, X, wrt="Y"), "W, X"),
        (lambda: layouts.explore(product, W, X, argnums=2), "argnums"),
        (lambda: layouts.explore(lambda n, x: n * x, 2, W, argnums=0), "'n'"),
        (lambda: layouts.explore(product, W, W), "function"),
    ],
)
def test_mistakes(call, reason):
    with pytest.raises(LayoutError, match=reason):
        call()


def test_a_frame_where_no_widget_runs(shown, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "anywidget", None)
    still = Explorer("product", product, {"W": np.asarray(W), "X": np.asarray(X)}, "W")
    with pytest.raises(ImportError, match=r"layouts\[notebook\]"):
        still.widget  # noqa: B018
    bundle = still._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html"}
    frame = re.fullmatch(r"<iframe ([^<>]*)></iframe>", bundle["text/html"])[1]
    assert 'sandbox="allow-scripts allow-downloads"' in frame


@pytest.mark.parametrize("content", [{"allow_stdin": False}, {"allow_stdin": True}, {}, None])
def test_a_notebook_that_runs_by_itself_has_the_page_that_stands_still(shown, monkeypatch, content):
    pytest.importorskip("anywidget")
    shell = SimpleNamespace(get_parent=lambda: content and {"content": content})
    stand_in = SimpleNamespace(get_ipython=lambda: shell)
    monkeypatch.setitem(__import__("sys").modules, "IPython", stand_in)
    live = content != {"allow_stdin": False}
    assert ("application/vnd.jupyter.widget-view+json" in shown._repr_mimebundle_()) == live


def test_the_widget_asks_the_kernel(shown):
    pytest.importorskip("anywidget")
    assert "application/vnd.jupyter.widget-view+json" in shown._repr_mimebundle_()
    sent = []
    shown.widget.send = sent.append
    shown._heard(shown.widget, {"id": "1", "name": "view", "body": shown._state}, [])
    shown._heard(shown.widget, {"id": "2", "name": "view", "body": {"source": 1}}, [])
    shown._heard(shown.widget, {"id": "3", "name": "nothing", "body": {}}, [])
    shown._heard(shown.widget, {"id": "4", "name": "export", "body": shown._state}, [])
    assert [reply["id"] for reply in sent] == ["1", "2", "3", "4"]
    assert sent[0]["answer"]["state"]["wrt"] == "X"
    assert "expected" in sent[1]["error"] and "expected" in sent[2]["error"]
    assert sent[3]["answer"].startswith("<!doctype html>")


# In a browser.


@pytest.fixture
def page(browser):
    """A page with the network off, which must not complain."""
    context = browser.new_context(offline=True)
    found, said = context.new_page(), []
    found.on("console", lambda message: said.append(message.text))
    found.on("pageerror", lambda error: said.append(str(error)))
    found.on(
        "request", lambda request: said.append(request.url) if "http" in request.url[:4] else 0
    )
    yield found
    context.close()
    assert said == []


DRAWN = ".content:not([hidden])"


def test_the_file_opens_offline(shown, page, tmp_path):
    (tmp_path / "page.html").write_text(shown.html(), "utf-8")
    page.goto((tmp_path / "page.html").as_uri())
    page.wait_for_selector(DRAWN)
    assert "20×15" in page.inner_text(DRAWN)


def test_hostile_data_run_nothing(page, tmp_path, shown):
    data = json.loads(json.dumps(shown._data).replace("∂", HOSTILE.replace('"', "")))
    (tmp_path / "page.html").write_text(document(data), "utf-8")
    page.on("dialog", lambda dialog: pytest.fail("a script ran"))
    page.goto((tmp_path / "page.html").as_uri())
    page.wait_for_selector(DRAWN)


def test_the_frame_shows_the_page(shown, page, tmp_path):
    (tmp_path / "cell.html").write_text(f"<!doctype html>{shown._repr_html_()}", "utf-8")
    page.goto((tmp_path / "cell.html").as_uri())
    inside = page.frame_locator("iframe")
    inside.locator(DRAWN).wait_for()
    inside.get_by_role("radio", name="Denominator").check(force=True)
    assert page.frames[1].evaluate("self.origin") == "null"


MODEL = """async ({ esm, modules, data }) => {
  const url = URL.createObjectURL(new Blob([esm], { type: "text/javascript" }));
  const { default: widget } = await import(url);
  const hearers = new Set();
  window.asked = [];
  const model = {
    get: (name) => ({ modules, data })[name],
    on: (_, hear) => hearers.add(hear),
    off: (_, hear) => hearers.delete(hear),
    send: async (message) => {
      window.asked.push(message.name);
      const reply = await window.kernel(message);
      hearers.forEach((hear) => hear(reply));
    },
  };
  const cell = () => document.body.appendChild(document.createElement("div"));
  const ends = [];
  for (let n = 0; n < 2; n += 1) ends.push(await widget.render({ model, el: cell() }));
  window.end = () => ends.forEach(end => end());
  window.hearers = hearers;
}"""


def test_the_live_view_asks_and_shows(shown, page, tmp_path):
    widget = shown.widget

    def kernel(message):
        sent = []
        widget.send = sent.append
        shown._heard(widget, message, [])
        return json.loads(json.dumps(sent[0]))

    (tmp_path / "cell.html").write_text("<!doctype html><body>", "utf-8")
    page.goto((tmp_path / "cell.html").as_uri())
    page.expose_function("kernel", kernel)
    page.add_style_tag(content=widget._css)
    page.evaluate(MODEL, {"esm": widget._esm, "modules": widget.modules, "data": widget.data})
    page.wait_for_selector(DRAWN)
    one, other = page.locator(".lx").all()
    for view in (one, other):  # each with switches of its own
        checked = view.locator(".segments input:checked")
        assert checked.evaluate_all("all => all.map(one => one.value)") == ["numerator", "rows"]
    other.get_by_role("radio", name="Denominator").check(force=True)
    assert one.get_by_role("radio", name="Numerator").is_checked()
    page.evaluate("document.body.addEventListener('keydown', () => { window.heard = true; })")
    one.locator(".map .stage").focus()
    page.keyboard.press("ArrowDown")
    assert not page.evaluate("window.heard")
    one.get_by_role("radio", name="differentiate by W").check(force=True)
    page.wait_for_function("window.asked.includes('view')")
    page.get_by_text("∂D[1,2]/∂W").first.wait_for(state="attached")
    page.evaluate("window.end()")
    assert page.evaluate("window.hearers.size") == 0
    assert page.evaluate("location.hash") == ""
