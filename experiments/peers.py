"""The same Jacobians by other packages, where they are installed: asdex and PyTorch's torch.func.

asdex finds which entries can be nonzero, colours them, and pushes once for each colour; what it
does once, before the first call, is not in its time. torch.func runs eagerly, as it is used, on as
many threads as it takes by itself.
"""

import warnings
from collections.abc import Callable
from functools import partial, reduce
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import jax
import numpy as np

from experiments import harness, timing
from experiments.suite import Case

TOO_LONG = "takes over 20 s to prepare"
ASDEX_LEFT_OUT = {
    "gather 2000 of 2000": TOO_LONG,
    "attention block 32×64, by its input": TOO_LONG,
    "W₂ tanh(W₁ X) 64-64-16, 64 samples, by W₁": TOO_LONG,
    "squared error of a tanh network 256-256-64, 128 samples, by W₁": TOO_LONG,
    "squared error of 8 layers of 128, 64 samples, by all weights": TOO_LONG,
    "xᵀ A x, n = 2048, Hessian": TOO_LONG,
}


def installed() -> tuple[str, ...]:
    """The peers that can be imported here."""
    return tuple(name for name in ("asdex", "torch") if find_spec(name))


def asdex(case: Case, args: tuple) -> Callable | str:
    """The program of asdex for the dense result, or why there is none."""
    if case.take:
        return "no such result"
    if case.name in ASDEX_LEFT_OUT:
        return ASDEX_LEFT_OUT[case.name]
    package = import_module("asdex")
    of = package.hessian if case.second_order else package.jacobian
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a pattern is dense
            program = of(case.function, *args, output_format="dense")
            return jax.jit(program).lower(*args).compile()
    except (NotImplementedError, TypeError, ValueError) as error:
        return f"{type(error).__name__}: {str(error).partition('. ')[0]}"


def _network(X: Any, *weights: Any) -> Any:
    *hidden, last = weights
    return last @ reduce(lambda A, W: (W @ A).tanh(), hidden, X)


def _layer_norm(X: Any) -> Any:
    centred = X - X.mean(-1, keepdim=True)
    return centred / ((centred * centred).mean(-1, keepdim=True) + 1e-5).sqrt()


def _attention(X: Any, query: Any, key: Any, value: Any, out: Any) -> Any:
    scores = (X @ query) @ (X @ key).T / X.shape[1] ** 0.5
    return X + scores.softmax(1) @ (X @ value) @ out


def _energy(X: Any) -> Any:
    u = X[:, None, :] - X[None, :, :]
    return 0.5 * ((u * u).sum(-1) + 0.1).sqrt().sum()


IN_TORCH: dict[str, Callable] = {
    "tanh of 2000": lambda x: x.tanh(),
    "D = W X, by W": lambda W, X: W @ X,
    "layer norm 32×128, by its input": _layer_norm,
    "softmax of 1000": lambda z: z.softmax(0),
    "attention block 32×64, by its input": _attention,
    "tanh network 64-64-64-16, 64 samples, by X": _network,
    "xᵀ A x, n = 2048, Hessian": lambda x, A: x @ (A @ x),
    "logistic regression 2048×256, Hessian": lambda w, X, signs: (
        (1 + (-signs * (X @ w)).exp()).log().sum()
    ),
    "distances of 256 points in 3-D, Hessian of their sum": _energy,
}


def programs(case: Case, args: tuple) -> dict[str, Callable | str]:
    """The programs of the installed peers on JAX's arrays, or why there are none."""
    return {"asdex": asdex(case, args)} if "asdex" in installed() else {}


def torch_seconds(case: Case, args: tuple, rounds: int, seconds: float = 1.0) -> dict[str, float]:
    """The time of torch.func's best mode, where PyTorch is installed and the function written.

    It is taken apart from JAX's, because PyTorch's threads stay awake for a while.

    Raises:
        ValueError: the result is not the one of JAX.
    """
    if "torch" not in installed() or case.name not in IN_TORCH:
        return {}
    package, function = import_module("torch"), IN_TORCH[case.name]
    tensors = [package.from_numpy(np.array(array)) for array in args]
    modes = ["hessian"] if case.second_order else ["jacrev", "jacfwd"]
    calls = {mode: partial(getattr(package.func, mode)(function), *tensors) for mode in modes}
    expected = np.asarray(jax.jit(case.by_hand)(*args))
    for mode, call in calls.items():
        error = harness.relative_error(call().numpy(), expected)
        if not error < 1e-3:
            raise ValueError(f"{case.name}: torch.func.{mode} is off by {error:.0e}")
    return {"torch": min(timing.interleaved(calls, rounds, seconds).values())}


def titles() -> dict[str, str]:
    """The installed peers, and how a table calls them."""
    names = {"asdex": "asdex"}
    if "torch" in installed():
        threads = import_module("torch").get_num_threads()
        names["torch"] = f"torch.func, {threads} threads"
    return {name: names[name] for name in installed()}
