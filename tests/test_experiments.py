"""Every experiment at a small size: it runs, its claims hold, its files are there."""

import importlib
import json
import runpy
import sys
from functools import partial
from pathlib import Path
from types import ModuleType

import jax
import numpy as np
import pytest

from experiments import __main__ as everything
from experiments import counting, harness, report


def experiment(name: str) -> ModuleType:
    return importlib.import_module(f"experiments.{name}")


@pytest.mark.parametrize("name", everything.EXPERIMENTS)
def test_experiment_runs_alone_and_saves_what_it_found(name: str, tmp_path: Path):
    done = harness.perform(experiment(name), tmp_path, small=True)
    saved = json.loads((tmp_path / f"{name}.json").read_text())
    assert saved["claims"], "an experiment without a claim shows nothing"
    assert saved["environment"]["jax"] == jax.__version__
    assert saved["question"].rstrip().endswith("?")
    if hasattr(experiment(name), "draw"):
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert all(claim.measured for claim in done.result.claims)


@pytest.mark.parametrize("name", everything.EXPERIMENTS)
@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
def test_experiment_has_a_command_line(name: str, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as end:
        runpy.run_module(f"experiments.{name}", run_name="__main__", alter_sys=True)
    shown = capsys.readouterr().out
    assert end.value.code == 0 and "--small" in shown and "--out" in shown
    assert f"usage: python -m experiments.{name} " in shown


@pytest.mark.parametrize("name", ["", "a/folder", "new/and/deep"])
def test_results_go_to_any_folder_that_can_be_made(name: str, tmp_path: Path):
    (tmp_path / "a/folder").mkdir(parents=True)
    chosen = harness.parser("x", "").parse_args(["--out", str(tmp_path / name)])
    assert chosen.out == tmp_path / name


@pytest.mark.parametrize("name", ["a file", "a file/below"])
@pytest.mark.parametrize("module", ["gradient_form", "benchmark", "scale", "__main__"])
def test_no_work_is_done_for_a_folder_that_cannot_be_written(name, module, tmp_path, capsys):
    (tmp_path / "a file").touch()
    chosen = experiment(module)
    run = partial(harness.main, chosen) if module == "gradient_form" else chosen.main
    with pytest.raises(SystemExit) as end:
        run(["--small", "--out", str(tmp_path / name)])
    assert end.value.code == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert "argument --out: expected a folder to write to, got" in told


def test_a_claim_that_fails_alone_is_one_line(tmp_path: Path, monkeypatch):
    def run(small: bool) -> harness.Result:
        raise harness.ClaimFailed("water is dry: measured wet")

    monkeypatch.setattr(experiment("gradient_form"), "run", run)
    with pytest.raises(SystemExit, match=r"^claim failed: water is dry: measured wet$"):
        harness.main(experiment("gradient_form"), ["--small", "--out", str(tmp_path)])


README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_readme_names_every_experiment():
    assert all(f"`{name}`" in README for name in everything.EXPERIMENTS)


def test_readme_opens_with_calls_that_run(capsys):
    opening = README.split("```python\n")[1].split("```")[0]
    exec(opening, {})
    printed = capsys.readouterr().out
    assert printed.startswith("dD[i,j]/dW[k,l] = δ[i,k] X[l,j]\n")
    assert "planned" in printed


def test_all_together_write_one_report_that_needs_no_network(tmp_path: Path, capsys):
    names = ["transpose_not_inverse", "gradient_form"]
    assert everything.main(["--small", "--out", str(tmp_path), "--only", *names]) == 0
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert all(f'id="{name}"' in page for name in names)
    assert page.count("data:image/png;base64,") == len(names)
    assert "http://" not in page and "https://" not in page and "<script" not in page
    printed = capsys.readouterr().out
    assert "Findings" in printed and "report.html" in printed


def test_a_failed_claim_is_reported_and_is_the_exit_status(tmp_path: Path, monkeypatch, capsys):
    def run(small: bool) -> harness.Result:
        raise harness.ClaimFailed("<b>water</b> is dry: measured wet")

    monkeypatch.setattr(experiment("gradient_form"), "run", run)
    assert everything.main(["--small", "--out", str(tmp_path), "--only", "gradient_form"]) == 1
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;water&lt;/b&gt; is dry" in page and "<b>water" not in page
    assert "is dry" in capsys.readouterr().out


def test_an_interrupt_ends_in_one_line(tmp_path: Path, monkeypatch, capsys):
    def run(small: bool) -> harness.Result:
        raise KeyboardInterrupt

    monkeypatch.setattr(experiment("gradient_form"), "run", run)
    command = ["--small", "--out", str(tmp_path)]
    for call in (
        lambda: harness.main(experiment("gradient_form"), command),
        lambda: everything.main([*command, "--only", "gradient_form"]),
    ):
        with pytest.raises(SystemExit) as end:
            call()
        assert end.value.code == 130 and capsys.readouterr().err == "interrupted\n"


def test_a_claim_that_does_not_hold_raises_and_is_not_recorded():
    claims = harness.Claims()
    with pytest.raises(harness.ClaimFailed, match="2 is odd: measured remainder 0"):
        claims.check("2 is odd", 2 % 2 == 1, "remainder 0")
    with pytest.raises(harness.ClaimFailed, match=r"shape \(3,\)"):
        claims.equal("same", np.ones(3), np.ones((3, 1)))
    with pytest.raises(harness.ClaimFailed, match="relative error"):
        claims.equal("same", np.ones(3), np.array([1.0, 1.0, 1.0001]))
    with pytest.raises(harness.ClaimFailed, match="relative error"):
        claims.equal("same", np.array([np.nan]), np.ones(1))
    assert claims.made == []


def test_report_escapes_every_text():
    result = harness.Result("<i>?", "<u>", (harness.Claim("<s>", "&"),), GRID, {})
    page = report.page([harness.Report("x", result, 1.0, None)], {})
    assert not any(tag in page for tag in ("<i>", "<u>", "<s>", "<em>"))
    assert "&lt;i&gt;?" in page and "&amp;" in page


GRID = harness.Grid(("<em>",), (("<em>",),))


def test_grid_refuses_a_row_that_does_not_fit():
    with pytest.raises(ValueError, match="does not fit"):
        harness.Grid(("a", "b"), (("1",),))


def test_counting_refuses_a_program_that_is_not_matrix_products_alone():
    with pytest.raises(ValueError, match="XLA counts"):
        counting.multiplications(lambda a, b: (a @ b) * 3.0, np.ones((2, 3)), np.ones((3, 5)))


def test_counting_sees_a_product_within_a_jit():
    product = jax.jit(lambda a, b: a @ b)
    assert (
        counting.multiplications(lambda a, b: product(a, b), np.ones((2, 3)), np.ones((3, 5))) == 30
    )


def test_sums_and_branches_of_a_matrix_product():
    x = np.ones((3, 5))
    jaxpr = jax.make_jaxpr(lambda w: w @ x)(np.ones((2, 3))).jaxpr
    # each of the 10 entries of W X sums 3 products; each of the 6 entries of W enters 5 columns
    assert counting.sums_and_branches(jaxpr) == {"sums": 10 * 2, "branches": 6 * 4}
