"""Random programs against `jax.jacrev`: a fixed few here, `python -m tests.fuzz` for more."""

import pytest
from hypothesis import given, settings

from tests import fuzz


@settings(derandomize=True, deadline=None, max_examples=60)
@given(fuzz.programs())
def test_random_programs(program):
    fuzz.check(program)


@settings(derandomize=True, deadline=None, max_examples=20)
@given(fuzz.programs())
def test_hessians_of_random_programs(program):
    fuzz.check_hessian(program)


# What the search has found, shrunk.
FILTER = "jnp.fft.irfft(jnp.fft.rfft({}) * (1 + 0.3j), n=5)"
FOUND = {
    "a running sum, then a complex filter": ("jnp.cumsum(v0)", FILTER.format("v1")),
    "a convolution, then a complex filter": (
        "jnp.convolve(v0, np.array([0.5, -1.0, 0.3]), mode='same')",
        FILTER.format("v1"),
    ),
    "a complex filter, then a running sum": (FILTER.format("v0"), "jnp.cumsum(v1)"),
    "a complex filter, then weights": (FILTER.format("v0"), "v0 * v1"),
    "waves times their sum, then a filter": (
        "jnp.fft.irfft((jnp.exp(1j * v0) * jnp.exp(1j * v0).sum())[::-1][:3], n=5)",
    ),
    "a complex loop, turned, then a filter": (
        "lax.scan(lambda c, t: (c * (0.3 + 0.5j) + t, c), 0j, v0)[1] * 1j",
        "jnp.fft.irfft(v1[:3], n=5)",
    ),
    "a solve by what is repeated, its two sides in other digits": (
        "jnp.repeat(v0[:, None], 2, axis=0)",
        "4 * jnp.eye(10) + jnp.tril(v1 @ v1.T)",
        "lax.linalg.triangular_solve(v2, v1, left_side=True, lower=True)",
    ),
}


@pytest.mark.parametrize("name", FOUND)
def test_programs_that_were_wrong_once(name):
    fuzz.check(fuzz.Program(((5,),), FOUND[name], (len(FOUND[name]),)))


def test_what_xla_compiles_wrongly_is_no_failure():
    """`jax.jacrev` of this gives other numbers compiled than step by step (JAX 0.10.2, 0.12.0)."""
    lines = ("jnp.cumsum(v0.sum() * v1, axis=0)", "v2[np.array([1])]")
    fuzz.check(fuzz.Program(((12,), (3, 2)), lines, (3,)))


def test_a_failing_program_is_shrunk_and_printed_as_a_script(monkeypatch, capsys):
    """As if sorting were wrong: what is left is a sort, and the script says what to look at."""

    def refuse_sorting(program):
        assert "jnp.sort(" not in program.source, "reverse"

    monkeypatch.setattr(fuzz, "check", refuse_sorting)
    assert fuzz.main(["--minutes", "2", "--seed", "3"]) == 1
    printed = capsys.readouterr()
    assert "reverse" in printed.err
    script = printed.out[printed.out.index("import jax\n") :]
    assert script.count("    v") == script.count("jnp.sort(") == 1
    exec(compile(script, "script", "exec"), {})
    apart = capsys.readouterr().out
    assert all(order in apart for order in ("auto", "forward", "reverse"))


def test_where_nothing_fails_the_search_ends_in_time(monkeypatch, capsys):
    monkeypatch.setattr(fuzz, "check", lambda program: None)
    assert fuzz.main(["--minutes", "0.02"]) == 0
    assert "programs in all" in capsys.readouterr().out


@pytest.mark.parametrize("place", [0, 1])
def test_what_differs_is_an_error(monkeypatch, place):
    """A wrong sign in one entry, dense or structured, is caught."""
    right = fuzz.jacobian

    def wrong(function, *args, structured=False, **options):
        scale = -1 if structured == bool(place) else 1
        return right(
            lambda *values: [scale * part for part in function(*values)],
            *args,
            structured=structured,
            **options,
        )

    monkeypatch.setattr(fuzz, "jacobian", wrong)
    program = fuzz.Program(((3, 2),), ("jnp.sin(v0)",), (1,))
    with pytest.raises(AssertionError, match="structured" if place else "auto"):
        fuzz.check(program)
