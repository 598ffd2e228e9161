"""`layouts.testing`: an assertion that fails with the doctor's report."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from layouts.errors import LayoutError
from layouts.testing import assert_vjp

normal = np.random.default_rng(6).standard_normal
W, X = normal((4, 3)), normal((3, 5))
cube = jax.custom_vjp(lambda x: x**3)
cube.defvjp(lambda x: (x**3, x), lambda x, g: (3 * g * x**2,))
wrong = jax.custom_vjp(lambda x: x**3)
wrong.defvjp(lambda x: (x**3, x), lambda x, g: (g * x**2,))


def product(W, X):
    return W @ X


def test_nothing_happens_where_all_is_right():
    assert assert_vjp(product, lambda g, W, X: g @ X.T, W, X) is None
    assert_vjp(product, "W.T @ dD", W, X, argnums=1)
    assert_vjp(product, lambda g, W, X: (g @ X.T, W.T @ g), W, X, argnums=(0, 1))
    cotangent = normal((4, 5))
    assert_vjp(product, cotangent @ X.T, W, X, cotangent=cotangent)
    assert_vjp(lambda x: jnp.sin(x), np.diag(np.cos(W[0])), W[0], kind="jacobian")
    assert_vjp(cube, None, W)


def test_a_wrong_gradient_fails_with_the_report():
    with pytest.raises(AssertionError) as failure:
        assert_vjp(product, lambda g, W, X: (g @ X.T, -2 * W.T @ g), W, X, argnums=(0, 1))
    first, *rest = str(failure.value).splitlines()
    assert first.startswith("mistake: constant-factor and sign in the gradient by X")
    assert any("fix" in line for line in rest)


def test_a_wrong_custom_vjp_fails_with_the_report():
    with pytest.raises(AssertionError, match="1/3 times the gradient"):
        assert_vjp(wrong, None, W)


def test_misuse_is_no_failed_assertion():
    with pytest.raises(LayoutError, match="a custom_vjp somewhere in it"):
        assert_vjp(product, None, W, X)
    with pytest.raises(LayoutError, match="kind"):
        assert_vjp(cube, None, W, kind="jacobian")


def test_in_a_users_suite_the_report_is_what_pytest_shows(pytester):
    pytester.makepyfile(
        """
        import jax.numpy as jnp, numpy as np
        from layouts.testing import assert_vjp

        def test_backward():
            assert_vjp(jnp.sin, lambda g, x: -g * np.cos(x), np.array([0.3, -1.2, 2.0]))
        """
    )
    result = pytester.runpytest("-p", "no:cacheprovider")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*AssertionError: mistake: sign in the gradient by x*"])
    result.stdout.no_fnmatch_line("*raise AssertionError*")  # the helper's own lines are hidden


pytest_plugins = ["pytester"]
