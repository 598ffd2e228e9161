"""What the explorer's page is told, held against JAX and the library."""

import json
import re
import typing
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import layouts
from layouts.chains import bracketing
from layouts.conventions import TEXTBOOKS, Convention, arrange_array
from layouts.errors import LayoutError
from layouts.explorer import schema
from layouts.explorer.asking import state_of
from layouts.explorer.cells import edges_of, reduced
from layouts.explorer.copying import program_of
from layouts.explorer.gallery import GALLERY
from layouts.explorer.limits import MAX_CELLS, MAX_SEED
from layouts.explorer.payload import ANSWERS
from layouts.explorer.subject import subject_of
from layouts.explorer.telling import rule
from layouts.expressions import FUNCTIONS as FUNCTIONS_OF_TEXT
from layouts.expressions import load
from layouts.expressions.loading import Loaded
from layouts.formulas.evaluating import evaluate
from layouts.formulas.parsing import parse

FUNCTIONS = {}


def gallery_row(name, **more):
    return {"source": {"kind": "gallery", "name": name}, **more}


def expression(text, shapes, **more):
    return {"source": {"kind": "expression", "text": text}, "shapes": shapes, **more}


def ask(name, body, functions=FUNCTIONS):
    answer = ANSWERS[name](body, functions)
    return json.loads(json.dumps(answer, allow_nan=False))


def array(values, shape):
    return np.array([float(value) for value in values]).reshape(shape)


def true_jacobian(body):
    return _true_jacobian(json.dumps(body))


@cache
def _true_jacobian(body):
    asked = state_of(json.loads(body), FUNCTIONS)
    subject = subject_of(asked)
    derivative = jax.jit(jax.jacrev(asked.loaded.call, subject.place))
    return np.asarray(derivative(*subject.at(asked)))


CASES = {
    **{name: gallery_row(name) for name in GALLERY},
    "bias": expression("relu(W @ X + b)", {"W": [4, 3], "X": [3, 5], "b": [4, 1]}, wrt="b"),
    "transpose": expression("A.T", {"A": [3, 2]}),
    "cube": expression("sum(T * T, axis=1)", {"T": [2, 3, 5]}),
    "column": expression("A * t", {"A": [2, 3], "t": []}, wrt="t"),
    "zero": expression("x - x", {"x": [5]}),
}


@pytest.fixture(scope="module")
def views():
    return {name: ask("view", body) for name, body in CASES.items()}


def conforms(value, kind, path="answer"):
    """Raise where a value is not what a type of the schema says."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if kind is typing.Any:
        return
    if typing.is_typeddict(kind):
        assert isinstance(value, dict), f"{path}: {value!r}"
        hints = typing.get_type_hints(kind)
        assert {*value} <= {*hints}, f"{path}: {set(value) - set(hints)}"
        assert kind.__required_keys__ <= {*value}, f"{path}: {kind.__required_keys__ - set(value)}"
        for key, entry in value.items():
            conforms(entry, hints[key], f"{path}.{key}")
    elif origin is list:
        assert isinstance(value, list), path
        for n, entry in enumerate(value[:50]):
            conforms(entry, parts[0], f"{path}[{n}]")
    elif origin is dict:
        for key, entry in value.items():
            conforms(entry, parts[1], f"{path}[{key}]")
    elif origin is tuple:
        for entry, part in zip(value, parts, strict=True):
            conforms(entry, part, path)
    elif origin is typing.Literal:
        assert value in parts, f"{path}: {value!r}"
    elif parts:  # a union
        errors = []
        for part in parts:
            try:
                return conforms(value, part, path)
            except AssertionError as error:
                errors.append(str(error))
        raise AssertionError("; ".join(errors))
    elif kind is type(None):
        assert value is None, path
    else:
        assert type(value) in ((int, float) if kind is float else (kind,)), f"{path}: {value!r}"


@pytest.mark.parametrize("name", CASES)
def test_a_view_is_what_the_schema_says(views, name):
    conforms(views[name], schema.ViewAnswer)


def test_conforming_can_fail():
    with pytest.raises(AssertionError):
        conforms({"text": "x", "mathml": 3, "latex": ""}, schema.Formula)
    with pytest.raises(AssertionError):
        conforms({"text": "x"}, schema.Formula)


@pytest.mark.parametrize("name", CASES)
def test_the_cells_are_jaxs_jacobian(views, name):
    J = views[name]["jacobian"]
    assert not J["cells"]["reduced"]
    true = true_jacobian(CASES[name])
    assert tuple(J["shape"]) == true.shape
    np.testing.assert_allclose(array(J["cells"]["values"], true.shape), true, rtol=1e-9, atol=1e-12)
    structure = J["cells"]["structure"] or "1" * true.size
    assert len(structure) == true.size
    assert not true.ravel()[[bit == "0" for bit in structure]].any()
    assert J["counts"]["structure"] == structure.count("0") == true.size - J["nonzero"]
    assert [axis["size"] for axis in J["axes"]] == J["shape"]


@pytest.mark.parametrize("name", CASES)
def test_every_arrangement_placed_by_its_axes_is_the_librarys(views, name):
    view = views[name]
    true = true_jacobian(CASES[name])
    out, into = view["jacobian"]["out_shape"], view["jacobian"]["in_shape"]
    seen = 0
    for found in view["arrangements"]:
        convention = TEXTBOOKS[found["textbook"]] if found["textbook"] else None
        convention = convention or Convention(found["layout"], found["vec"])
        if not found["defined"]:
            with pytest.raises(LayoutError):
                arrange_array(true, convention, out, into)
            assert found["note"]
            continue
        seen += 1
        rows, columns = found["rows"], found["columns"]
        assert sorted(rows + columns) == list(range(true.ndim))
        picture = true.transpose(rows + columns).reshape(found["picture"])
        expected = np.asarray(arrange_array(true, convention, out, into))
        assert list(expected.shape) == found["shape"]
        np.testing.assert_array_equal(picture.reshape(expected.shape), expected)
        assert found["picture"] == [np.prod([true.shape[n] for n in s]) for s in (rows, columns)]
    assert seen >= 8
    assert len(view["arrangements"]) == 6 + len(TEXTBOOKS)


@pytest.mark.parametrize("name", CASES)
def test_the_formula_of_an_arrangement_is_its_value(views, name):
    view, true = views[name], true_jacobian(CASES[name])
    arrays = {a["name"]: array(a["values"], a["shape"]) for a in view["arrays"]}
    own = [a for a in view["arrangements"] if a["formula"] and a["kind"] == "layout"]
    formulas = [parse(found["formula"]["text"]) for found in own]
    values = jax.jit(lambda known: [evaluate(one, known) for one in formulas])(arrays)
    written = 0
    for found, value in zip(own, map(np.asarray, values), strict=True):
        expected = true.transpose(found["rows"] + found["columns"]).reshape(found["shape"])
        value = value.reshape(expected.shape) if value.size == expected.size else value
        np.testing.assert_allclose(
            np.broadcast_to(value, expected.shape), expected, rtol=1e-9, atol=1e-12
        )
        written += 1
    assert written == (0 if name in ("attention", "cube") else 6)


def test_layout_and_vec_turn_formula_and_chain(views):
    seed = {found["id"]: found for found in views["seed-w"]["arrangements"]}
    kronecker = {key: seed[key]["kronecker"] for key in list(seed)[:4]}
    assert kronecker == {
        "numerator/rows": "I₄ ⊗ Xᵀ",
        "numerator/columns": "Xᵀ ⊗ I₄",
        "denominator/rows": "I₄ ⊗ X",
        "denominator/columns": "X ⊗ I₄",
    }
    chains = {a["id"]: a["chain"]["text"] for a in views["mlp"]["arrangements"][:6]}
    assert chains["numerator/rows"] == "∂L/∂W1 = ∂L/∂D ∂D/∂a1 ∂a1/∂z1 ∂z1/∂W1"
    assert chains["denominator/rows"] == "∂L/∂W1 = ∂z1/∂W1 ∂a1/∂z1 ∂D/∂a1 ∂L/∂D"
    assert chains["mixed/rows"] == "∂L/∂W1 = (∂D/∂a1 ∂a1/∂z1 ∂z1/∂W1)ᵀ ∂L/∂D"
    assert views["quadratic-form"]["arrangements"][0]["chain"] is None


# The other cases go the same way, and compile for seconds.
@pytest.mark.parametrize("name", ["seed-w", "neuron", "mlp", "quadratic-form", "bias", "zero"])
def test_the_code_computes_the_jacobian(views, name, capsys):
    view, true = views[name], true_jacobian(CASES[name])
    for number in (0, 3):
        found = view["arrangements"][number]
        space = {}
        exec(view["code"] + found["code"], space)
        np.testing.assert_allclose(space["dense"], true, rtol=1e-9, atol=1e-12)
        expected = true.transpose(found["rows"] + found["columns"]).reshape(found["shape"])
        np.testing.assert_allclose(space["matrix"], expected, rtol=1e-9, atol=1e-12)
    assert capsys.readouterr().out.startswith("dD")


def test_code_of_edited_and_drawn_inputs():
    text = "trace(A) + sum(ln(square(B)) + gelu(B), axis=-1)"
    shapes = {"A": [3, 3], "B": [200]}
    body = expression(text, shapes, values={"A": np.eye(3).tolist()}, seed=7, wrt="B")
    view = ask("view", body)
    space = {}
    exec(view["code"], space)
    np.testing.assert_allclose(space["dense"], true_jacobian(body), rtol=1e-9, atol=1e-12)
    assert "default_rng" in view["code"]
    drawn = next(a for a in view["inputs"] if a["name"] == "B")["values"]
    assert space["B"].tolist() == drawn


@pytest.mark.parametrize("name", FUNCTIONS_OF_TEXT)
def test_code_knows_every_function_of_the_grammar(name):
    x = np.array([[2.0, 1.0], [0.5, 3.0]])
    operands = FUNCTIONS_OF_TEXT[name].operands
    text = f"{name}({', '.join('xy'[:operands])})"
    asked = state_of(expression(text, {key: [2, 2] for key in "xy"[:operands]}), {})
    code = program_of(asked, [x] * operands).partition("J = ")[0]
    space = {}
    exec(code, space)
    expected = asked.loaded.call(*[x] * operands)
    np.testing.assert_array_equal(space["f"](*[x] * operands), expected)


# The other rows go the same way, and take the doctor seconds.
@pytest.mark.parametrize("name", ["seed-w", "seed-x", "neuron", "mlp", "quadratic-form"])
def test_the_doctor_accepts_the_rule_that_is_offered(views, name):
    view = views[name]
    found = ask("check", {**CASES[name], "formula": view["vjp"]["numpy"]})
    conforms(found, schema.CheckAnswer)
    assert found["ok"] and found["verdict"] == "correct", found["text"]


OFFERED = {
    **{name: gallery_row(name) for name in ("mlp", "cross-entropy", "layer-norm", "attention")},
    "chain": gallery_row("matrix-chain", wrt="A3"),
    "vectors": gallery_row("quadratic-form", wrt="A"),
    "outer": expression("outer(x, x) @ y", {"x": [3], "y": [3]}),
    "mask": expression("relu(W @ X + b)", {"W": [2, 3], "X": [3, 5], "b": [2, 1]}, wrt="b"),
    "gelu": expression("0.123456 * W @ gelu(z)", {"W": [2, 3], "z": [3]}, wrt="z"),
    "silu": expression("x * sigmoid(x) - softplus(x)", {"x": [5]}),
    "rows": expression("logsumexp(A, axis=1) * s", {"A": [2, 3], "s": [1]}),
    "one": expression("sum(A) * s", {"A": [2, 3], "s": [1]}, wrt="s"),
    "log det": expression("logdet(A) * solve(A, x)", {"A": [3, 3], "x": [3]}, wrt="x"),
    "ties": expression("maximum(x, y) - abs(y)", {"x": [5], "y": [5]}, wrt="y"),
    "column": expression("A * c + tanh(c)", {"A": [2, 3], "c": [2, 1]}, wrt="c"),
}  # fmt: skip


@pytest.mark.parametrize("name", OFFERED)
def test_the_rule_that_is_offered_runs_in_numpy(name):
    asked = state_of(OFFERED[name], {})
    subject = subject_of(asked)
    with jax.enable_x64(True):
        offered = rule(subject)
    arrays = subject.at(asked)
    cotangent = np.random.default_rng(1).standard_normal(subject.out_shape)
    space = dict(zip(subject.inputs, arrays, strict=True)) | {offered["cotangent"]: cotangent}
    found = eval(offered["numpy"], {"np": np}, space)
    wanted = jax.vjp(asked.loaded.call, *arrays)[1](cotangent)[subject.place]
    assert np.shape(found) == wanted.shape
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12)
    read = evaluate(parse(offered["numpy"]), space)  # as the doctor reads it
    np.testing.assert_allclose(np.reshape(read, wanted.shape), wanted, rtol=1e-9, atol=1e-12)


def test_no_rule_is_offered_where_numpy_has_none():
    asked = state_of(expression("kron(A, B)", {"A": [2, 3], "B": [3, 2]}), {})
    assert rule(subject_of(asked))["numpy"] is None


def test_the_doctor_names_a_mistake():
    found = ask("check", gallery_row("seed-w", formula="-dD @ X.T"))
    conforms(found, schema.CheckAnswer)
    assert not found["ok"] and found["findings"][0]["kind"] == "sign"
    assert "<math" in found["findings"][0]["right_formula"]["mathml"]
    assert found["formula"]["text"] == "-dD @ X.T"


def test_the_graph_marks_branches_and_sums():
    body = expression("x + tanh(W @ x) * x", {"W": [5, 5], "x": [5]}, wrt="x")
    view = ask("view", body)
    graph = view["graph"]
    vertices = {v["name"]: v for v in graph["vertices"]}
    edges = {e["id"]: e for e in graph["edges"]}
    assert vertices["x"]["branch"] and vertices["x"]["uses"] == 3
    assert not vertices["z1"]["branch"]
    assert edges["e:x→D"]["uses"] == 2
    assert vertices["x"]["gradient"]["text"] == "∂L/∂x = Wᵀ ∂L/∂z1 + ∂L/∂D ⊙ (1 + a1)"
    assert [vertices[name]["layer"] for name in ("x", "z1", "a1", "D")] == [0, 1, 2, 3]
    assert not edges["e:W→z1"]["on_path"] and edges["e:x→z1"]["on_path"]


@pytest.mark.parametrize("name", ["mlp", "cross-entropy", "attention", "quadratic-form", "bias"])
def test_the_gradients_of_the_graph_are_jaxs(views, name):
    view, asked = views[name], state_of(CASES[name], {})
    subject = subject_of(asked)
    arrays = {a["name"]: array(a["values"], a["shape"]) for a in view["arrays"]}
    shape = view["output"]["shape"]
    cotangent = np.random.default_rng(1).standard_normal(shape) if shape else np.ones(())
    known = dict(arrays)
    if shape:
        known[f"d{subject.program.loss}/d{view['output']['name']}"] = cotangent
    for vertex in reversed(view["graph"]["vertices"]):
        if vertex["gradient"]:
            formula = parse(vertex["gradient"]["text"])
            value = evaluate(formula, known)
            known[f"d{subject.program.loss}/d{vertex['name']}"] = value
    pulled = jax.vjp(asked.loaded.call, *subject.at(asked))[1](cotangent)[subject.place]
    found = known[f"d{subject.program.loss}/d{subject.wrt}"]
    np.testing.assert_allclose(np.reshape(found, pulled.shape), pulled, rtol=1e-9, atol=1e-12)


def test_costs_and_bracketings_are_the_librarys(views):
    costs = views["matrix-chain"]["costs"]
    ways = {way["name"]: way["multiplications"] for way in costs["ways"]}
    trees = costs["bracketings"]
    assert trees["sizes"] == [13, 5, 2, 7, 11]
    # The matrices are dense, so that the pure question and the plan have one answer.
    totals = {order: trees[order]["total"] for order in ("forward", "reverse", "optimal")}
    assert totals == {
        "forward": ways["forward"],
        "reverse": ways["reverse"],
        "optimal": ways["planned"],
    }
    assert trees["names"] == ["∂u1/∂x", "∂u2/∂u1", "∂u3/∂u2", "∂D/∂u3"]
    assert views["mlp"]["costs"]["bracketings"]["names"] == ["∂z1/∂W1", "∂a1/∂z1", "∂D/∂a1"]
    assert views["quadratic-form"]["costs"]["bracketings"] is None


@pytest.mark.parametrize(
    "text, sizes, names",
    [
        ("tanh(A @ tanh(B @ x))", [4, 3, 3, 2, 2], ["∂z1/∂x", "∂a1/∂z1", "∂z2/∂a1", "∂D/∂z2"]),
        ("exp(A @ sin(u1))", [3, 3, 2, 2], ["∂u2/∂u1", "∂u3/∂u2", "∂D/∂u3"]),
    ],
)
def test_the_last_factor_of_a_chain_is_kept_if_it_is_one(text, sizes, names):
    inner = "u1" if "u1" in text else "x"
    shapes = {"A": [2, 3], "B": [3, 4], inner: [4 if "B" in text else 3]}
    shapes = {name: shape for name, shape in shapes.items() if name in text}
    found = ask("view", expression(text, shapes, wrt=inner))["costs"]["bracketings"]
    assert (found["sizes"], found["names"]) == (sizes, names)


def test_a_gradient_written_like_its_variable_has_the_chain_of_mixed_layout(views):
    found = {a["id"]: a for a in views["neuron"]["arrangements"]}
    for name in ("jax", "casadi", "mit-18.s096"):
        one, mixed = found[f"textbook/{name}"], found["mixed/rows"]
        assert one["layout"] == "numerator" and one["chain"] == mixed["chain"]
        assert one["chain_note"] == mixed["chain_note"]
    assert found["textbook/minka"]["chain"] == found["numerator/rows"]["chain"]


def test_what_is_whole_passes_no_gradient_on():
    def picked(x):
        best = jnp.argmax(x)
        return x * best + x[best]

    found = layouts.explore(picked, jnp.arange(5.0))
    view = found.ask("view", found._state)
    vertices = {v["name"]: v for v in view["graph"]["vertices"]}
    whole = next(v for v in vertices.values() if v["role"] == "intermediate")
    assert not whole["on_path"] and whole["gradient"] is None
    edges = [e for e in view["graph"]["edges"] if whole["id"] in (e["tail"], e["head"])]
    assert edges and not any(e["local"] or e["backward"] for e in edges)
    held = layouts.explore(lambda x, t: x[t], jnp.arange(5.0), jnp.array([4, 1]))
    gradients = [v["gradient"] for v in held.ask("view", held._state)["graph"]["vertices"]]
    assert gradients[0]["text"] == "∂L/∂x = one_hot(c1, 5)ᵀ ∂L/∂D"


def test_what_definitions_are_made_of_stands_before_them():
    def often(x):
        return jax.lax.fori_loop(0, 5, lambda _, y: 1.1 * jnp.sin(y), x)

    view = layouts.explore(often, jnp.arange(5.0)).ask(
        "view", {"source": {"kind": "function", "name": "often"}}
    )
    names = [array["name"] for array in view["arrays"] if array["role"] == "intermediate"]
    for place, array in enumerate(view["arrays"][1:-1]):
        later = names[place:]
        body = array["formula"]["text"].partition(" = ")[2]
        assert not any(re.search(rf"\b{name}\b", body) for name in later), (names, body)
    assert len(names) > 1


def test_a_function_is_written_of_its_inputs_where_that_is_short():
    def layers(count):
        def layered(W, x):
            for _ in range(count):
                x = jnp.tanh(W @ x)
            return x

        found = layouts.explore(layered, jnp.eye(3), jnp.arange(3.0), wrt="x")
        return found.ask("view", found._state)["function"]["text"]

    assert layers(1) == "D = tanh(W x)"
    assert layers(9) == "D = tanh(z9)"


def summed(tree):
    if tree["left"] is None:
        return 0
    return tree["multiplications"] + summed(tree["left"]) + summed(tree["right"])


def test_a_chain_of_any_sizes():
    sizes = [13, 5, 2, 7, 11]
    found = ask("chain", {"sizes": sizes})
    conforms(found, schema.ChainAnswer)
    for order in ("forward", "reverse", "optimal"):
        assert found[order]["total"] == bracketing.multiplications(sizes, order)
        assert found[order]["total"] == summed(found[order])
    for crossover in found["crossovers"]:
        place, crossing = crossover["which"], crossover["crossing"]
        for n, value in enumerate(crossover["values"]):
            changed = [*sizes[:place], value, *sizes[place + 1 :]]
            assert crossover["reverse"][n] == bracketing.multiplications(changed, "reverse")
            ahead = np.sign(crossover["forward"][n] - crossover["reverse"][n])
            start = np.sign(crossover["forward"][0] - crossover["reverse"][0])
            crossed = crossing is not None and value > crossing
            assert ahead in (0, -start if crossed else start)
    assert any(crossover["crossing"] for crossover in found["crossovers"])


def test_a_large_jacobian_is_reduced_and_says_so():
    body = expression("W @ X", {"W": [30, 20], "X": [20, 13]})
    J = ask("view", body)["jacobian"]
    cells, true = J["cells"], true_jacobian(body)
    assert true.size > MAX_CELLS and cells["reduced"] and f"{MAX_CELLS:,}" in cells["note"]
    assert np.prod(cells["shape"]) <= MAX_CELLS
    found = array(cells["values"], cells["shape"])
    edges = [axis["edges"] for axis in J["axes"]]
    for place in [(0, 0, 0, 0), (3, 5, 2, 7), (14, 12, 13, 13), (5, 2, 5, 1)]:
        block = true[tuple(slice(e[n], e[n + 1]) for e, n in zip(edges, place, strict=True))]
        assert abs(found[place]) == np.abs(block).max()
    entry = ask("entry", {**body, "index": [29, 12, 29, 19]})
    assert entry["value"] == true[29, 12, 29, 19]
    assert entry["formula"] == "∂D[29,12]/∂W[29,19] = X[19,12]"


def test_a_huge_jacobian_shows_its_structure_and_single_entries():
    body = expression("tanh(W @ X)", {"W": [100, 80], "X": [80, 70]})
    view = ask("view", body)
    assert view["jacobian"]["cells"]["values"] is None
    assert "0" in view["jacobian"]["cells"]["structure"] and view["entries"]["request"]
    index = [99, 69, 99, 79]
    asked = state_of(body, {})
    W, X = subject_of(asked).at(asked)
    slope = (1 - np.tanh(W @ X) ** 2)[99, 69] * X[79, 69]
    assert ask("entry", {**body, "index": index})["value"] == pytest.approx(slope)


def test_what_is_not_finite_wins_a_block_and_travels_as_words():
    dense = np.array([[1.0, -3.0, np.inf, 2.0, np.nan, -np.inf, 0.0, -0.5]])
    assert str(reduced(dense, (1, 4)).tolist()) == "[[-3.0, inf, nan, -0.5]]"
    assert edges_of(7, 3) == [0, 3, 5, 7]
    body = expression("1 / x", {"x": [3]}, values={"x": [0.0, 2.0, "NaN"]})
    view = ask("view", body)
    values = view["jacobian"]["cells"]["values"]
    assert (values[0], values[4], values[8]) == ("-Infinity", -0.25, "NaN")
    assert view["jacobian"]["counts"]["NaN"] == view["jacobian"]["counts"]["-Infinity"] == 1
    assert view["state"]["values"]["x"] == [0.0, 2.0, "NaN"]
    assert "jnp.nan" in view["code"]


def test_the_state_in_an_answer_asks_for_the_same_view():
    body = gallery_row("mlp", seed=5, layout="denominator", vec="columns", values={"x": [1, 2, 3]})
    view = ask("view", body)
    assert view["arrangement"] == "denominator/columns"
    again = ask("view", view["state"])
    assert again == view
    assert view["inputs"][2]["values"] == [1, 2, 3] and view["inputs"][2]["edited"]
    nested = ask("view", {**body, "values": {"x": [1, 2, 3], "W2": [[1] * 5, [2] * 5]}})
    assert nested["inputs"][0]["values"] == [1.0] * 5 + [2.0] * 5
    assert ask("view", {**body, "textbook": "jax"})["arrangement"] == "textbook/jax"
    other = ask("view", {**body, "seed": 6})
    assert other["inputs"][0]["values"] != view["inputs"][0]["values"]


def test_the_steps_are_held_against_numbers_when_asked():
    body = gallery_row("seed-w")
    assert ask("view", body)["derivation"]["checked"] == ""
    checked = ask("verify", body)
    conforms(checked, schema.Derivation)
    assert checked["ok"] and all(step["check"] < 1e-12 for step in checked["steps"])
    assert ask("view", {**body, "checks": True})["derivation"] == checked
    titles = [step["title"] for step in checked["steps"]]
    assert titles == sorted(titles, key=titles.index)


def test_the_gallery_offers_rows_and_functions():
    own = {"mine:softplus": load("jax.nn:softplus", {"x": (3,)})}
    found = ask("gallery", {}, own)
    conforms(found, schema.GalleryAnswer)
    assert [row["source"]["name"] for row in found["rows"]] == list(GALLERY)
    assert found["functions"][0]["shapes"] == {"x": [3]}
    source = {"kind": "function", "name": "mine:softplus"}
    view = ask("view", {"source": source, "shapes": {"x": [4]}}, own)
    conforms(view, schema.ViewAnswer)
    assert view["jacobian"]["shape"] == [4, 4]
    with pytest.raises(LayoutError, match="mine:softplus"):
        ask("view", {"source": {**source, "name": "os:system"}}, own)


def test_a_jacobian_without_entries_is_a_view_too():
    inputs = {"x": (3,)}
    own = {"mine:none": Loaded("mine:none", lambda x: x[:0], inputs)}
    view = ask("view", {"source": {"kind": "function", "name": "mine:none"}}, own)
    conforms(view, schema.ViewAnswer)
    assert view["jacobian"]["shape"] == [0, 3] and view["jacobian"]["cells"]["values"] == []


def test_the_operands_of_a_large_map_are_shown_as_far_as_they_fit():
    shapes = {name: [200, 200] for name in "ABCE"}
    view = ask("view", expression("sum(A * B) + sum(C * E)", shapes))
    shown = [array["name"] for array in view["arrays"] if array["values"]]
    assert shown == ["A", "B", view["output"]["name"]]
    assert view["jacobian"]["cells"]["values"]


def test_a_name_is_enough_to_propose_shapes():
    found = ask("read", {"source": {"kind": "expression", "text": "relu(W @ X + b)"}})
    conforms(found, schema.ReadAnswer)
    assert found["names"] == ["W", "X", "b"] == found["proposed"]
    ask("view", expression("relu(W @ X + b)", found["shapes"]))
    kept = {"source": {"kind": "expression", "text": "W @ x"}, "shapes": {"W": [7, 5], "q": [2]}}
    assert ask("read", kept)["shapes"] == {"W": [7, 5], "x": [5]}
    assert ask("read", {"source": {"kind": "gallery", "name": "mlp"}})["shapes"]["W1"] == [5, 3]


def test_times_are_measured():
    found = ask("measure", gallery_row("seed-w"))
    conforms(found, schema.MeasureAnswer)
    assert {way["name"] for way in found["ways"]} >= {"forward", "reverse", "planned"}
    assert min(way["ratio"] for way in found["ways"]) == 1 and found["jax"] == jax.__version__


def test_answers_are_in_float64_whatever_the_process_is_set_to(views):
    with jax.enable_x64(False):
        assert ask("view", gallery_row("seed-w", seed=0)) == views["seed-w"]
    assert views["seed-w"]["dtype"] == "float64"


GOOD = gallery_row("seed-w")
W3 = {"W": [4, 3], "X": [3, 5]}
HOSTILE = [
    ("view", None),
    ("view", []),
    ("view", "W @ X"),
    ("view", {}),
    ("view", {"source": None}),
    ("view", {"source": {}}),
    ("view", {"source": {"kind": "python", "text": "1"}}),
    ("view", {"source": {"kind": ["gallery"], "name": "seed-w"}}),
    ("view", {"source": {"kind": "gallery", "name": {}}}),
    ("view", {"source": {"kind": "gallery", "name": "__class__"}}),
    ("view", {"source": {"kind": "gallery", "name": "seed-w", "text": "x"}}),
    ("view", {"source": {"kind": "function", "name": "os:system"}}),
    ("view", expression("os:system", {"x": [3]})),
    ("view", expression("W @", W3)),
    ("view", expression("W @ X", {"W": [4, 3]})),
    ("view", expression("W @ X", {"W": [4, 3], "X": [4, 5]})),
    ("view", expression("W @ X", {**W3, "Z": [2]})),
    ("view", expression("W" + "+W" * 3000, {"W": [2]})),
    ("view", expression("-" * 60 + "x", {"x": [2]})),
    ("view", expression("x ** 10000", {"x": [2]})),
    ("view", expression("__import__('os').system('true')", {"x": [2]})),
    ("view", expression("x.__class__", {"x": [2]})),
    ("view", expression("\x00x", {"x": [2]})),
    ("view", expression("", {"x": [2]})),
    ("view", expression(7, {"x": [2]})),
    ("view", expression("x", {"x": [100_001]})),
    ("view", expression("x", {"x": [1] * 9})),
    ("view", expression("x", {"x": [-1]})),
    ("view", expression("x", {"x": [0]})),
    ("view", expression("x", {"x": [2.0]})),
    ("view", expression("x", {"x": [True]})),
    ("view", expression("x", {"x": ["3"]})),
    ("view", expression("x", {"x": 3})),
    ("view", expression("x", [3])),
    ("view", expression("outer(x, x)", {"x": [90_000]})),
    ("view", expression("sum(outer(x, x))", {"x": [5_000]})),
    ("view", expression("sum(kron(A, A))", {"A": [60, 60]})),
    ("view", expression("x", {f"x{n}": [2] for n in range(99)})),
    ("view", expression("+".join(f"x{n}" for n in range(40)), {f"x{n}": [2] for n in range(40)})),
    ("view", {**GOOD, "seed": -1}),
    ("view", {**GOOD, "seed": MAX_SEED + 1}),
    ("view", {**GOOD, "seed": 1.5}),
    ("view", {**GOOD, "seed": True}),
    ("view", {**GOOD, "seed": "0"}),
    ("view", {**GOOD, "wrt": "Z"}),
    ("view", {**GOOD, "wrt": ["W"]}),
    ("view", {**GOOD, "layout": "diagonal"}),
    ("view", {**GOOD, "layout": 3}),
    ("view", {**GOOD, "vec": "diagonal"}),
    ("view", {**GOOD, "vec": {}}),
    ("view", {**GOOD, "textbook": "bible"}),
    ("view", {**GOOD, "textbook": []}),
    ("view", {**GOOD, "checks": "yes"}),
    ("view", {**GOOD, "values": [1]}),
    ("view", {**GOOD, "values": {"Z": [1]}}),
    ("view", {**GOOD, "values": {"W": [1, 2]}}),
    ("view", {**GOOD, "values": {"W": [[1, 2, 3]] * 3 + [[1, 2]]}}),
    ("view", {**GOOD, "values": {"W": [None] * 12}}),
    ("view", {**GOOD, "values": {"W": ["nan"] * 12}}),
    ("view", {**GOOD, "values": {"W": [True] * 12}}),
    ("view", {**GOOD, "values": {"W": [10**400] * 12}}),
    ("view", {**GOOD, "values": {"W": [[[1]]] * 12}}),
    ("view", {**GOOD, "unknown": 1}),
    ("view", {**GOOD, "shapes": {"Q": [3]}}),
    ("view", {**GOOD, "shapes": {"W": [4, 5]}}),
    ("check", GOOD),
    ("check", {**GOOD, "formula": ""}),
    ("check", {**GOOD, "formula": 3}),
    ("check", {**GOOD, "formula": "dD @ Q.T @ R"}),
    ("check", {**GOOD, "formula": "x" * 2_001}),
    ("check", {**GOOD, "formula": "__import__('os')"}),
    ("entry", GOOD),
    ("entry", {**GOOD, "index": [0, 0, 0]}),
    ("entry", {**GOOD, "index": [0, 0, 0, 3]}),
    ("entry", {**GOOD, "index": [0, 0, 0, -1]}),
    ("entry", {**GOOD, "index": [0, 0, 0, 0.0]}),
    ("entry", {**GOOD, "index": "0000"}),
    ("chain", {}),
    ("chain", {"sizes": "3,4"}),
    ("chain", {"sizes": [3, 4]}),
    ("chain", {"sizes": [3] * 40}),
    ("chain", {"sizes": [3, 4, 10**30]}),
    ("chain", {"sizes": [3, 4, 0]}),
    ("chain", {"sizes": [3, 4, 5], "more": 1}),
    ("gallery", {"a": 1}),
    ("gallery", None),
    ("read", {}),
    ("read", {"source": {"kind": "expression", "text": "W @"}}),
    ("read", {"source": {"kind": "expression", "text": "W @ X"}, "shapes": {"W": "4x3"}}),
    ("measure", {"source": 1}),
    ("verify", {**GOOD, "index": 1}),
]


@pytest.mark.parametrize("name, body", HOSTILE, ids=[f"{n}-{k[0]}" for n, k in enumerate(HOSTILE)])
def test_a_hostile_body_is_a_mistake_with_a_remedy(name, body):
    with pytest.raises(LayoutError) as caught:
        ask(name, body)
    error = caught.value
    assert all((error.what, error.expected, error.received, error.remedy))
    assert len(str(error)) < 2_000


def test_the_library_is_the_only_source(views):
    """The page's formulas are those of `layouts.derive`, its numbers those of `layouts.cost`."""
    W, X = (jax.ShapeDtypeStruct(shape, "float64") for shape in ((4, 3), (3, 5)))
    derivation = layouts.derive(lambda W, X: W @ X)(W, X)
    assert views["seed-w"]["vjp"]["vjp"]["text"] == str(derivation.of("vjp")[0])
    assert views["seed-w"]["jacobian"]["formula"]["text"] == str(derivation.of("jacobian")[0])
    report = layouts.cost(lambda W, X: W @ X)(W, X)
    ways = {way["name"]: way["multiplications"] for way in views["seed-w"]["costs"]["ways"]}
    assert ways["jacrev"] == report.jacrev.multiplications
