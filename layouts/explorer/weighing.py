"""What a Jacobian costs: counted by the library, as a chain of matrices, and measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count, islice, pairwise
from math import prod
from statistics import median
from time import perf_counter
from typing import Any, cast

import jax

from layouts.chains import bracketing
from layouts.costs import CONVENTION
from layouts.errors import LayoutError
from layouts.explorer import schema
from layouts.explorer.asking import integer, keyed
from layouts.explorer.limits import MAX_FACTORS, MAX_SIZE_IN_CHAIN
from layouts.explorer.subject import Subject
from layouts.expressions.grammar import shorten
from layouts.plan.orders import start
from layouts.transforms import jacobian

Shape = tuple[int, ...]

REPETITIONS = 15
# A repetition calls so often that it takes this long, in seconds, and no oftener than MOST_CALLS.
SHORTEST = 2e-3
MOST_CALLS = 200
# A way that takes longer than this is called less often, so that all of it stays within seconds.
LONGEST = 3.0
# Sizes of a chain that a slider is given.
STOPS = 24

NAMES = {
    "forward": "forward, structure kept",
    "reverse": "reverse, structure kept",
    "planned": "planned",
    "jacfwd": "jax.jacfwd",
    "jacrev": "jax.jacrev",
}


def costs_of(subject: Subject) -> schema.Costs:
    """The five ways, the plan, and the pure chain where there is one."""
    report = subject.costs
    found = {"forward": report.forward, "reverse": report.reverse, "planned": report.planned}
    ways = [(*pair, NAMES[pair[0]]) for pair in found.items()]
    executed = {"jacfwd": report.jacfwd, "jacrev": report.jacrev}
    ways += [(name, cost, NAMES[name]) for name, cost in executed.items() if cost is not None]
    sizes = chain_of(subject)
    note = "The same chain as matrices that are full; the ways above leave the zeros out."
    if sizes is None:
        note = "The program is no chain of two Jacobians or more: the plan is a tree of its own."
    return {
        "ways": [
            {
                "name": name,
                "title": f"{title} ({report.plan.name})" if name == "planned" else title,
                "multiplications": cost.multiplications,
                "additions": cost.additions,
                "peak_bytes": cost.peak_bytes,
            }
            for name, cost, title in ways
        ],
        "plan": report.plan.name,
        "tree": report.plan.tree(),
        "bracketings": None if sizes is None else bracketings_of(*sizes),
        "bracketings_note": note,
        "convention": CONVENTION,
        "opaque": list(report.opaque),
        "stored_bytes": report.result_bytes,
        "dense_bytes": report.dense_bytes,
    }


def chain_of(subject: Subject) -> tuple[list[int], list[str]] | None:
    """The sizes of a chain from the input to the output, and what its factors are.

    What an elementwise function is made of counts as one factor.

    Returns:
        None where a vertex has two successors, where there is one Jacobian alone, or too many.
    """
    graph = subject.linearized.graph
    edges = start(graph).out
    following = {source: [*targets] for source, targets in edges.items() if targets}
    path = [graph.inputs[0]]
    while len(following.get(path[-1], ())) == 1:
        path += following[path[-1]]
    if path[-1] != graph.outputs[0] or {*path[:-1]} != {*following}:
        return None
    sizes = [prod(graph.shapes[vertex]) for vertex in path]
    named = (subject.program.paths(subject.wrt, 1) or [()])[0][::-1]
    known = [prod(subject.program.vertex(name).shape) for name in named]
    passed_on = not any(term.factors for term in edges[path[-2]][path[-1]])
    if known != sizes and passed_on and sizes[-1] == sizes[-2]:
        sizes = sizes[:-1]  # what is returned is made before
    if not 3 <= len(sizes) <= MAX_FACTORS + 1:
        return None
    return sizes, _factor_names(subject, named if known == sizes else (), len(sizes) - 1)


def _factor_names(subject: Subject, named: Sequence[str], factors: int) -> list[str]:
    """`∂z1/∂W1`, the first next to the input; what has no name of its own is u1, u2, ..."""
    if not named:
        taken = {vertex.name for vertex in subject.program.vertices}
        spare = (name for name in map("u{}".format, count(1)) if name not in taken)
        named = [subject.wrt, *islice(spare, factors - 1), subject.out_name]
    return [f"∂{child}/∂{parent}" for parent, child in pairwise(named)]


def bracketings_of(sizes: Sequence[int], names: Sequence[str] = ()) -> schema.Bracketings:
    """A chain in three orders.

    Args:
        sizes: from the input to the output.
        names: what the factors are, the first next to the input.
    """
    names = names or [f"J{k}" for k in range(1, len(sizes))]
    found = {name: _tree(make(sizes)) for name, make in bracketing.ORDERS.items()}
    whole = {"sizes": list(sizes), "names": list(names), **found, "convention": CONVENTION}
    return cast(schema.Bracketings, whole)


def chain_answer(body: Any) -> schema.ChainAnswer:
    """The answer to `chain`.

    Raises:
        LayoutError: the sizes are no chain, or too many or too large.
    """
    given = keyed("request", body, ("sizes",), ("sizes",))["sizes"]
    if not isinstance(given, list) or not 3 <= len(given) <= MAX_FACTORS + 1:
        expected = f"a list of 3 to {MAX_FACTORS + 1} sizes"
        raise LayoutError("sizes", expected, shorten(repr(given)), "add sizes, or leave some out")
    sizes = [integer("size of a chain", size, 1, MAX_SIZE_IN_CHAIN) for size in given]
    found = bracketings_of(sizes)
    forward, reverse = found["forward"]["total"], found["reverse"]["total"]
    cheaper = "equal" if forward == reverse else "forward" if forward < reverse else "reverse"
    crossovers = [_crossover(sizes, which) for which in range(len(sizes))]
    return cast(schema.ChainAnswer, {**found, "cheaper": cheaper, "crossovers": crossovers})


def _crossover(sizes: Sequence[int], which: int) -> schema.Crossover:
    """Both sweeps cost a + b·n in any one size n, so that two values tell where they meet."""

    def totals(name: str, values: Sequence[int]) -> list[int]:
        chains = [[*sizes[:which], value, *sizes[which + 1 :]] for value in values]
        return [bracketing.multiplications(chain, name) for chain in chains]

    (f1, f2), (r1, r2) = totals("forward", (1, 2)), totals("reverse", (1, 2))
    slope = (f2 - f1) - (r2 - r1)
    crossing = 1 - (f1 - r1) / slope if slope else None
    values = _stops(max(sizes))
    return {
        "which": which,
        "values": values,
        "forward": totals("forward", values),
        "reverse": totals("reverse", values),
        "optimal": totals("optimal", values),
        "crossing": crossing if crossing is not None and crossing > 0 else None,
    }


def _stops(largest: int) -> list[int]:
    """Sizes from 1 to four times the largest, in equal ratios."""
    top = min(4 * largest, MAX_SIZE_IN_CHAIN)
    return sorted({round(top ** (n / (STOPS - 1))) for n in range(STOPS)})


def _tree(found: bracketing.Bracketing) -> schema.Tree:
    left, right = found.left, found.right
    leaf = left is None or right is None
    inner = None if left is None else left.columns
    return {
        "name": " ".join(f"J{k}" for k in range(found.last, found.first - 1, -1)),
        "rows": found.rows,
        "columns": found.columns,
        "inner": inner,
        "multiplications": 0 if inner is None else found.rows * inner * found.columns,
        "total": found.multiplications,
        "text": str(found),
        "left": None if leaf or left is None else _tree(left),
        "right": None if leaf or right is None else _tree(right),
    }


def measured(subject: Subject, arrays: Sequence[Any]) -> schema.MeasureAnswer:
    """Times of five ways to the dense Jacobian: jitted, warm, in turn; the median of each.

    Args:
        subject: what is differentiated.
        arrays: where.

    Raises:
        LayoutError: the Jacobian is too large to be written out.
    """
    if not subject.writable:
        received = f"{prod(subject.facts.shape):,} entries"
        remedy = "choose smaller shapes"
        raise LayoutError("the Jacobian to measure", "one that is written out", received, remedy)
    placed = [jax.numpy.asarray(array) for array in arrays]
    found, rounds, calls = _in_turn(_ways(subject), placed)
    fastest = min(found.values())
    return {
        "ways": [
            {
                "name": name,
                "title": NAMES[name],
                "milliseconds": 1000 * taken,
                "ratio": taken / fastest,
            }
            for name, taken in found.items()
        ],
        "repetitions": rounds,
        "inner": calls,
        "jax": jax.__version__,
        "device": jax.devices()[0].device_kind,
        "dtype": "float64",
        "note": "Jitted and warm, called in turn, the median of the repetitions. At sizes such as "
        "these the call itself takes most of the time; ratios tell more than milliseconds.",
    }


def _ways(subject: Subject) -> dict[str, Callable]:
    """The library's orders, and JAX's own where they were counted."""
    call, place = subject.call, subject.place
    ways: dict[str, Callable] = {
        "forward": jacobian(call, place, order="forward"),
        "reverse": jacobian(call, place, order="reverse"),
        "planned": jacobian(call, place),
    }
    if subject.costs.jacfwd is not None:
        ways["jacfwd"] = jax.jacfwd(call, place)
    if subject.costs.jacrev is not None:
        ways["jacrev"] = jax.jacrev(call, place)
    return {name: jax.jit(way) for name, way in ways.items()}


def _in_turn(
    programs: dict[str, Callable], arrays: Sequence[Any]
) -> tuple[dict[str, float], int, int]:
    """The median time of a call in seconds, the rounds, and the calls in each of them."""
    slowest = 0.0
    for program in programs.values():  # compiles
        jax.block_until_ready(program(*arrays))
        slowest = max(slowest, _time(program, arrays, 1))
    calls = max(1, min(MOST_CALLS, round(SHORTEST / max(slowest, 1e-7))))
    rounds = max(3, min(REPETITIONS, round(LONGEST / (len(programs) * slowest * calls))))
    times: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(rounds):
        for name, program in programs.items():
            times[name].append(_time(program, arrays, calls) / calls)
    return {name: median(taken) for name, taken in times.items()}, rounds, calls


def _time(program: Callable, arrays: Sequence[Any], calls: int) -> float:
    begin = perf_counter()
    for _ in range(calls):
        result = program(*arrays)
    jax.block_until_ready(result)
    return perf_counter() - begin
