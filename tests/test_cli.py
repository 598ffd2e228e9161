"""The command line: what it prints, what it refuses, and with which exit status."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

import layouts
from layouts import cli, printing
from layouts.expressions import parse_expression

ROOT = Path(__file__).parent.parent

MODULE = """
import sys
import jax
import jax.numpy as jnp
import numpy as np

print("noise")

def net(W, X, *, scale=3.0):
    print("noise")
    return scale * jnp.tanh(W @ X)

def by_value(x):
    return 2 * x if x[0] > 99 else x * x

def pair(x): return x, x
def nothing(x): return None
def whole(x): return jnp.argmax(x)
def broken(x): raise KeyError("two\\nlines")
def leaves(x): sys.exit(7)
def numpys(x): return jnp.asarray(np.sin(np.asarray(x)))
def star(*xs): return xs[0]

number = 3

class Holder:
    @staticmethod
    def cube(x): return x**3
"""


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    (tmp_path / "of_a_user.py").write_text(MODULE)
    (tmp_path / "imports_nothing.py").write_text("import no_such_module\n")
    (tmp_path / "quits.py").write_text("raise SystemExit('at once')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield
    sys.modules.pop("of_a_user", None)


@pytest.fixture(autouse=True)
def _no_terminal(monkeypatch):
    """A test runner may say how wide its own terminal is."""
    monkeypatch.delenv("COLUMNS", raising=False)


def run(capsys, *argv):
    status = cli.main(argv)
    out, err = capsys.readouterr()
    return status, out, err


def test_explore_prints_the_jacobian_of_the_issue(capsys):
    status, out, err = run(
        capsys, "explore", "relu(W @ X + b)", "W=4x3", "X=3x5", "b=4x1", "--wrt", "W"
    )
    assert (status, err) == (0, "")
    for line in (
        "dD[i,j]/dW[k,l] = δ[i,k] X[l,j] A[i,j]",
        "A = 1[W @ X + b > 0]   (4×5)",
        "∂L/∂W[k,l] = Σ_j ∂L/∂D[k,j] X[l,j] A[k,j]",
        "∂L/∂W = (∂L/∂D ⊙ A) Xᵀ",
        "diag(vec(Aᵀ)) (I₄ ⊗ Xᵀ)",
        "diag(vec(A)) (Xᵀ ⊗ I₄)",
        "one multiplication is one scalar product",
    ):
        assert line in out
    rows = {line.split()[0]: line.split()[1] for line in out.splitlines() if "×" in line}
    assert rows["numerator"] == "20×12"
    assert rows["denominator"] == "12×20"
    assert rows["JAX"] == "4×5×4×3"
    assert "\x1b" not in out  # no colour codes where nobody sees colours
    assert max(map(len, out.splitlines())) <= printing.WIDTH


def test_costs_in_the_table_are_those_of_layouts_cost(capsys):
    _, out, _ = run(capsys, "explore", "W2 @ tanh(W1 @ x)", "W2=2x7", "W1=7x5", "x=5", "--wrt", "x")
    f = parse_expression("W2 @ tanh(W1 @ x)")
    args = [jax.ShapeDtypeStruct(s, float) for s in ((2, 7), (7, 5), (5,))]
    report = layouts.cost(f, 2)(*args)
    counted = {line.split()[0]: line for line in out.splitlines() if line}
    for name in ("forward", "reverse"):
        cost = getattr(report, name)
        assert f"{cost.multiplications:,}" in counted[name].split()
        assert f"{cost.peak_bytes:,}" in counted[name].split()


def test_json_has_the_same_keys_whatever_the_function(capsys):
    keys = []
    for argv in (
        ("W @ X", "W=4x3", "X=3x5"),
        ("softmax(z)", "z=7"),
        ("of_a_user:by_value", "x=3"),
        ("x @ A @ x", "x=3", "A=3x3", "--layout", "mixed", "--order", "reverse"),
    ):
        status, out, _ = run(capsys, "explore", *argv, "--json")
        assert status == 0
        keys.append(list(json.loads(out)))
    assert keys[0] == [
        "function", "inputs", "wrt", "output", "jacobian", "definitions", "layouts", "vjp",
        "costs", "opaque", "matrix",
    ]  # fmt: skip
    assert all(found == keys[0] for found in keys)


def test_json_of_a_product(capsys):
    _, out, _ = run(capsys, "explore", "W @ X", "W=4x3", "X=3x5", "--json")
    found = json.loads(out)
    assert found["inputs"] == {"W": [4, 3], "X": [3, 5]}
    assert found["jacobian"] == {
        "formula": "dD[i,j]/dW[k,l] = δ[i,k] X[l,j]",
        "shape": [4, 5, 4, 3],
    }
    assert found["layouts"][1] == {
        "layout": "denominator",
        "shape": [12, 20],
        "kronecker": {"rows": "I₄ ⊗ X", "columns": "X ⊗ I₄"},
    }
    assert found["vjp"]["matrices"] == "∂L/∂W = ∂L/∂D Xᵀ"
    assert found["costs"]["orders"]["jacrev"]["multiplications"] > 0
    assert found["costs"]["orders"]["planned"]["multiplications"] == 0
    assert found["matrix"] is None


@pytest.mark.parametrize("vec", ["rows", "columns"])
@pytest.mark.parametrize("layout", ["numerator", "denominator", "mixed"])
def test_matrix_is_the_one_of_the_convention_at_the_seeded_inputs(capsys, layout, vec):
    argv = ("explore", "W @ X", "X=3x5", "W=2x3", "--wrt", "W", "--seed", "7")
    _, out, _ = run(capsys, *argv, "--json", "--layout", layout, "--vec", vec)
    matrix = json.loads(out)["matrix"]
    keys = jax.random.split(jax.random.key(7), 2)
    W, X = (
        jax.random.normal(key, shape) for key, shape in zip(keys, [(2, 3), (3, 5)], strict=True)
    )
    J = layouts.jacobian(lambda W: W @ X, structured=True)(W)
    expected = layouts.arrange(J, layouts.Convention(layout, vec))
    assert matrix["shape"] == list(expected.shape)
    np.testing.assert_allclose(matrix["entries"], expected)
    assert run(capsys, *argv, "--layout", layout)[1].count("[[") == 1


def test_matrix_that_is_too_large_is_not_printed(capsys):
    argv = ("explore", "tanh(x)", "x=9999999", "--layout", "numerator")
    status, out, _ = run(capsys, *argv)
    assert status == 0
    assert "too large to print" in out
    assert "9999999×9999999" in out
    assert json.loads(run(capsys, *argv, "--json")[1])["matrix"]["entries"] is None


def test_json_has_no_nan(capsys):
    _, out, _ = run(capsys, "explore", "sqrt(x)", "x=7", "--layout", "numerator", "--json")
    entries = json.loads(out, parse_constant=pytest.fail)["matrix"]["entries"]
    assert any(entry is None for row in entries for entry in row)


def test_function_of_a_module(capsys):
    status, out, err = run(capsys, "explore", "of_a_user:net", "X=3x5", "W=4x3", "--wrt", "X")
    assert status == 0
    assert "dD[i,j]/dX[k,l] = 3 δ[j,l] W[i,k] A[i,j]" in out
    assert "A = 1 - tanh(W @ X)²" in out
    assert "noise" not in out
    assert "noise" in err  # kept, where it does not disturb the answer
    _, out, _ = run(capsys, "explore", "of_a_user:net", "W=4x3", "X=3x5", "scale=scalar", "--json")
    assert json.loads(out)["wrt"] == "W"
    _, out, _ = run(capsys, "explore", "of_a_user:Holder.cube", "x=3")
    assert "dD[i]/dx[k] = 3 δ[i,k] A[i]" in out


def test_function_that_asks_for_numbers_runs_at_random_inputs(capsys):
    status, out, _ = run(capsys, "explore", "of_a_user:by_value", "x=3")
    assert status == 0
    assert "dD[i]/dx[k] = 2 δ[i,k]" in out
    assert "not counted" in out


def test_long_formulas_are_cut_and_say_so(capsys):
    text = "+".join(f"tanh(x*{n})" for n in range(2, 30))
    _, out, _ = run(capsys, "explore", text, "x=3")
    assert "--json has them all" in out
    assert len(out.splitlines()) < 60
    _, out, _ = run(capsys, "explore", text, "x=3", "--json")
    assert len(json.loads(out)["definitions"]) > printing.MOST_DEFINITIONS


def test_arguments_in_any_order_and_a_leading_minus(capsys):
    for argv in (
        ("-x", "x=3", "--wrt", "x"),
        ("-x", "--wrt", "x", "x=3"),
        ("--wrt", "x", "-x", "x=3"),
    ):
        status, out, _ = run(capsys, "explore", *argv)
        assert status == 0
        assert "dD[i]/dx[k] = -δ[i,k]" in out


def test_textbooks_lists_them_all_and_leaves_open_what_is_not_verified(capsys):
    status, out, _ = run(capsys, "textbooks")
    assert status == 0
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line.strip()}
    assert set(layouts.TEXTBOOKS) <= set(rows)
    assert rows["magnus-neudecker"] == ["1×n", "1×pq", "m×1", "m×n", "mn×1", "mn×pq", "columns"]
    assert rows["jax"] == ["n", "p×q", "m", "m×n", "m×n", "m×n×p×q", "rows"]
    assert rows["denominator"] == ["n×1", "p×q", "1×m", "n×m", "n×m", "pq×mn", "any"]
    assert rows["pytorch"] == ["—"] * 7
    data = json.loads(run(capsys, "textbooks", "--json")[1])
    assert [entry["name"] for entry in data["textbooks"]] == list(layouts.TEXTBOOKS)
    wikipedia = data["textbooks"][2]
    assert wikipedia["shapes"]["y by x"] == "author's choice"
    assert wikipedia["shapes"]["y by s"] is None
    assert wikipedia["source"] == "Wikipedia, mixed layout"


# what is written, and what the one line on stderr says about it
MISTAKES = [
    ("W @ X W=4x3 X=4x5", "W @ X at column 1: expected inner sizes that agree"),
    ("W @ X W=4x3", "shape of X: expected one for each variable, got W; add X=, as in X=4x3"),
    ("W @ X W=4x3 X=3x5 Z=2", "shape of Z: expected a variable of W @ X"),
    ("W @ X W=4x3 X=3x5 W=4x3", "shape of W: expected one, got two; give W once"),
    ("W @ X W=4x3 X=3x5 --wrt Weight", "expected the name of an input, got 'Weight'"),
    ("weights @ X weights=4x3 X=3x5 --wrt weight", "did you mean weights?"),
    ("rellu(W) W=4x3", "did you mean relu?"),
    ("W W=4.5", "expected NAME=SHAPE"),
    ("W W=0x3", "expected positive sizes"),
    ("W W=", "expected NAME=SHAPE"),
    ("W", "shape of W: expected one for each variable, got none"),
    ("W W=999999x999999", "expected at most 100,000,000 entries"),
    ("x[0] x=3", "expected ASCII letters"),
    ("x.__class__ x=3", "expected .T, got .__class__"),
    ("x= x=3", "expected a formula"),
    (f"{'tanh(' * 60}x{')' * 60} x=3", "levels"),
    (f"{'x+' * 1500}x x=3", "expected at most 2,000 characters"),
    ("x x=3 --layout rows", "layout: expected one of 'numerator', 'denominator', 'mixed'"),
    ("x x=3 --vec diagonal", "vec order: expected 'rows' or 'columns'"),
    ("no_such:f x=3", "module 'no_such': expected a module that is found"),
    ("of_a_user:nett W=4x3 X=3x5", "did you mean net?"),
    ("of_a_user:number x=3", "expected a function, got a int"),
    ("of_a_user:net W=4x3", "shape of X: expected one for each parameter without a default"),
    ("of_a_user:net W=4x3 X=3x5 scal=2", "did you mean scale?"),
    ("of_a_user:net W=4x3 X=4x5", "TypeError: dot_general"),
    ("of_a_user:pair x=3", "expected one array, got a tuple of 2 arrays"),
    ("of_a_user:nothing x=3", "expected one array, got a NoneType"),
    ("of_a_user:whole x=3", "expected a floating-point array, got int"),
    ("of_a_user:broken x=3", "KeyError: 'two"),
    ("of_a_user:leaves x=3", "SystemExit: 7"),
    ("of_a_user:numpys x=3", "write it with jax.numpy"),
    ("of_a_user:star x=3", "shape of x: expected a parameter"),
    ("of_a_user.py:net W=4x3", "write of_a_user:net"),
    ("of_a_user: x=3", "write it as in mymodule:myfunction"),
    (":net x=3", "write it as in mymodule:myfunction"),
    ("a-b:f x=3", "expected the name of a module"),
    ("imports_nothing:f x=3", "ModuleNotFoundError: No module named 'no_such_module'"),
    ("quits:f x=3", "SystemExit: at once"),
]


@pytest.mark.parametrize(("line", "message"), MISTAKES)
def test_mistakes_are_said_in_one_line(capsys, line, message):
    function, *rest = line.split(" ")
    while rest and "=" not in rest[0] and not rest[0].startswith("-") and len(rest[0]) == 1:
        function += f" {rest.pop(0)}"  # W @ X
    status, out, err = run(capsys, "explore", function, *rest)
    said = [part for part in err.splitlines() if part != "noise"]
    assert (status, out, len(said)) == (2, "", 1)
    assert said[0].startswith("layouts: error: ")
    assert message in said[0]
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "argv",
    [
        (),
        ("explor",),
        ("explore",),
        ("explore", "x", "x=3", "--bogus"),
        ("explore", "x", "x=3", "--order", "sideways"),
        ("explore", "x", "x=3", "--seed", "one"),
        ("textbooks", "jax"),
    ],
)
def test_arguments_that_argparse_refuses(capsys, argv):
    with pytest.raises(SystemExit) as refusal:
        cli.main(argv)
    assert refusal.value.code == 2
    assert "error: " in capsys.readouterr().err


@pytest.mark.parametrize("argv", [("--help",), ("explore", "--help"), ("textbooks", "-h")])
def test_help_has_examples(capsys, argv):
    with pytest.raises(SystemExit) as left:
        cli.main(argv)
    assert left.value.code == 0
    out = capsys.readouterr().out
    assert "examples:\n  layouts " in out


def test_version(capsys):
    with pytest.raises(SystemExit) as left:
        cli.main(["--version"])
    assert left.value.code == 0
    assert capsys.readouterr().out.startswith(
        f"layouts {layouts.__version__} (JAX {jax.__version__}"
    )


def test_interrupt(capsys, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "load", interrupt)
    assert run(capsys, "explore", "x", "x=3") == (130, "", "layouts: interrupted\n")


def process(*argv, **options):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **options.pop("env", {})}
    command = [sys.executable, "-m", "layouts", *argv]
    return subprocess.Popen(command, env=environment, text=True, **options)


def test_module_on_a_pipe_that_nobody_reads():
    reader, writer = os.pipe()
    os.close(reader)
    running = process("textbooks", stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert running.communicate()[1] == ""
    assert running.returncode == 141


def test_stdout_without_greek_letters():
    running = process(
        "explore", "W @ X", "W=4x3", "X=3x5", "--json",
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={"PYTHONIOENCODING": "ascii"},
    )  # fmt: skip
    out, err = running.communicate()
    assert (running.returncode, err) == (0, "")
    assert json.loads(out)["jacobian"]["formula"] == "dD[i,j]/dW[k,l] = δ[i,k] X[l,j]"


def test_derive_prints_the_derivation_of_the_issue(capsys):
    argv = ("derive", "relu(W @ X + b)", "W=4x3", "X=3x5", "b=4x1", "--wrt", "W")
    status, out, err = run(capsys, *argv)
    assert (status, err) == (0, "")
    for line in (
        "∂D/∂W, with W 4×3, X 3×5, b 4×1",
        "∂L/∂W = (∂L/∂D ⊙ relu′(z1)) Xᵀ",
        "relu′(z) = 1[z > 0]",
        "Checked in numbers, all",
    ):
        assert line in out
    assert max(map(len, out.splitlines())) <= printing.WIDTH
    _, numerator, _ = run(capsys, *argv, "--layout", "numerator")
    assert "denominator" in out and "denominator" not in numerator


@pytest.mark.parametrize(
    ("form", "start"),
    [
        ("text", "∂D/∂z, with z 7"),
        ("ascii", "dD/dz, with z 7"),
        ("latex", "\\begin{align*}"),
        ("html", "<!DOCTYPE html>"),
        ("json", "{"),
    ],
)
def test_derive_in_every_format_to_a_file_too(capsys, tmp_path, form, start):
    argv = ("derive", "softmax(z)", "z=7", "--format", form)
    status, out, _ = run(capsys, *argv)
    assert status == 0 and out.startswith(start)
    status, silent, _ = run(capsys, *argv, "--output", str(tmp_path / "page"))
    assert (status, silent) == (0, "")
    assert (tmp_path / "page").read_text(encoding="utf-8") == out
    if form == "ascii":
        out.encode("ascii")


def test_derive_as_data(capsys):
    argv = ("derive", "W @ X", "W=4x3", "X=3x5", "--format", "json", "--layout", "denominator")
    found = json.loads(run(capsys, *argv)[1])
    keys = ["function", "inputs", "wrt", "output", "steps", "definitions", "notes"]
    assert list(found) == keys and found["function"] == "W @ X"
    steps = {step["kind"]: step for step in found["steps"]}
    assert steps["matrix"]["text"] == "∂L/∂W = ∂L/∂D Xᵀ"
    assert steps["layout"]["reason"].startswith("denominator")
    assert steps["matrix"]["check"] < 1e-6
    found = json.loads(run(capsys, *argv, "--no-check")[1])
    assert all(step["check"] is None for step in found["steps"])


def test_derive_of_a_module_and_of_shapes_of_any_size(capsys):
    status, out, err = run(capsys, "derive", "of_a_user:net", "X=3x5", "W=4x3", "--wrt", "X")
    assert status == 0 and "noise" in err and "noise" not in out
    assert "∂D/∂X, with W 4×3, X 3×5" in out
    big = ("W @ x", "W=10000x10000", "x=10000", "--no-check")
    assert "∂L/∂W = ∂L/∂D xᵀ" in run(capsys, "derive", *big)[1]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("W @ X", "W=4x3", "X=5x3"), "expected inner sizes that agree"),
        (("W @ X", "W=4x3", "X=3x5", "--wrt", "Q"), "'Q'"),
        (("W @ X", "W=4x3", "X=3x5", "--layout", "sideways"), "'sideways'"),
        (("x", "x=3", "--output", "no/such/place"), "a file to write"),
        (("of_a_user:by_value", "x=3"), "jax.numpy in place of numpy"),
        (("of_a_user:pair", "x=3"), "one array"),
        (("of_a_user:whole", "x=3"), "a floating-point array"),
    ],
)
def test_derive_refuses_in_one_line(capsys, argv, said):
    status, out, err = run(capsys, "derive", *argv)
    assert (status, out) == (2, "")
    (line,) = (line for line in err.splitlines() if line != "noise")
    assert line.startswith("layouts: error: ") and said in line
