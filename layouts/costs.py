"""What a Jacobian costs: forward, reverse and planned accumulation, and JAX's own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
from jax.sharding import AbstractMesh, Mesh, NamedSharding

from layouts.counting import count
from layouts.errors import LayoutError
from layouts.graph import Graph
from layouts.leaves import leaf_names
from layouts.linearize import Linearized
from layouts.mesh.communication import MeshReport, over_mesh
from layouts.mesh.evaluating import evaluated
from layouts.mesh.shareable import Argument, Program, program_of
from layouts.plan import Plan, Results, choose, make_plan
from layouts.program import Cost
from layouts.show.costs import costs_html
from layouts.show.html import Markup, Shown, section
from layouts.transforms import linearize_call

CONVENTION = "one multiplication is one scalar product: a matmul of m×k by k×n is mkn"


@dataclass(frozen=True)
class CostReport(Shown):
    """What five ways to a Jacobian cost.

    The first three accumulate the same local Jacobians, structure kept; the last two are the
    programs of `jax.jacfwd` and `jax.jacrev`, zeros and all, the function's own work included.

    Attributes:
        forward: accumulated from the inputs on.
        reverse: accumulated from the outputs back.
        planned: in the order of `plan`.
        jacfwd: as JAX executes it; None where JAX cannot (a `custom_vjp`).
        jacrev: as JAX executes it; None where JAX cannot (a `while` loop).
        plan: the cheapest order found; `layouts.jacobian(fun, order=plan)` uses it.
        dense_bytes: what the dense answer takes.
        result_bytes: what the structured answer takes.
        program: the planned Jacobian as what `sharded` shares out.
    """

    forward: Cost
    reverse: Cost
    planned: Cost
    jacfwd: Cost | None
    jacrev: Cost | None
    plan: Plan
    dense_bytes: int
    result_bytes: int
    program: Program | None = field(default=None, compare=False, repr=False)

    def sharded(self, mesh: Mapping[str, int] | Mesh | AbstractMesh) -> MeshReport:
        """What the planned Jacobian costs each device of a mesh, for every axis to split.

        Split by rows, by columns or by the samples of a batch, each device makes its part of the
        result; split along an axis of an argument that is summed over, the parts are added up. An
        argument lies as its `sharding` says, of an array or a `jax.ShapeDtypeStruct`; without one
        it is whole on every device. What has to be elsewhere is sent as XLA's partitioner sends it,
        what the function sends on its way to the residuals included. A step of the function that
        has no rule here (a loop, a gather, a factorisation) is taken to need its operands whole. A
        partitioner that finds another way sends less or more; of programs that mix arguments lying
        in different ways it is an estimate. What the function multiplies itself is not counted.

        Args:
            mesh: how many devices each mesh axis has, by its name; or a mesh of JAX's.

        Returns:
            A `MeshReport`: its `ways` with the best first, as a device weighs its multiplications,
            bytes moved and bytes sent; each has a `cost` and `sent_bytes` of one device. `str` is
            the table, with the formulas for what is sent.

        Raises:
            LayoutError: a mesh axis that divides no axis of the Jacobian.

        Example:
            >>> import jax, jax.numpy as jnp
            >>> A, B, x = (jax.ShapeDtypeStruct(s, "float32") for s in ((16, 8), (8, 3), (3,)))
            >>> report = cost(lambda x, A, B: A @ (B @ x))(x, A, B).sharded({"devices": 4})
            >>> report.best.name, report.best.cost.multiplications, report.best.sent_bytes
            ('rows (output axis 0)', 96, 0)
        """
        if self.program is None:
            raise LayoutError(
                "CostReport.sharded",
                "a report made by layouts.cost",
                "one without its program",
                "call layouts.cost(fun)(*args).sharded(mesh)",
            )
        sizes = mesh.shape if isinstance(mesh, Mesh | AbstractMesh) else mesh
        return over_mesh(self.program, dict(sizes))

    @property
    def opaque(self) -> tuple[str, ...]:
        """The primitives that have no structure here, in program order."""
        return self.plan.opaque

    @property
    def rows(self) -> list[tuple[str, Cost | None]]:
        """The ways by name."""
        return [
            ("forward", self.forward),
            ("reverse", self.reverse),
            (f"planned ({self.plan.name})", self.planned),
            ("jax.jacfwd", self.jacfwd),
            ("jax.jacrev", self.jacrev),
        ]

    def html(self) -> str:
        """The table with bars, what has no structure, and the plan, as HTML."""
        plan = section("Plan", Markup(self.plan.html()))
        sizes = (self.result_bytes, self.dense_bytes)
        return costs_html(self.rows, *sizes, CONVENTION, [plan])

    def __str__(self) -> str:
        """The table, with the convention that it counts in."""
        rows: list[tuple[str, ...]] = [("order", "multiplications", "additions", "peak bytes")]
        for name, cost in self.rows:
            counts = (cost.multiplications, cost.additions, cost.peak_bytes) if cost else ()
            rows.append((name, *(f"{n:,}" for n in counts)) if counts else (name, "-", "-", "-"))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            f"{name:<{widths[0]}}"
            + "".join(f"  {cell:>{w}}" for cell, w in zip(cells, widths[1:], strict=True))
            for name, *cells in rows
        ]
        lines.append(f"stored: {self.result_bytes:,} bytes structured, {self.dense_bytes:,} dense")
        if self.plan.applied:
            lines.append(f"applied, other axes left alone: {', '.join(self.plan.applied)}")
        if self.opaque:
            lines.append(f"without structure (opaque): {', '.join(self.opaque)}")
        lines.append(f"({CONVENTION})")
        return "\n".join(lines)


def cost(fun: Callable, argnums: int | Sequence[int] = 0) -> Callable[..., CostReport]:
    """What the Jacobian of a function costs, without computing it.

    Args:
        fun: takes and returns pytrees of arrays.
        argnums: which positional arguments to differentiate by.

    Returns:
        A function of the same arguments, arrays or `jax.ShapeDtypeStruct`s, that returns a
        `CostReport`. Multiplications and additions are scalar ones, memory is in bytes.

    Raises:
        TypeError: where JAX raises it for these arguments.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> A, B = jax.ShapeDtypeStruct((7, 2), "float32"), jax.ShapeDtypeStruct((2, 5), "float32")
        >>> x = jax.ShapeDtypeStruct((5,), "float32")
        >>> report = cost(lambda x, A, B: A @ (B @ x))(x, A, B)
        >>> report.forward.multiplications, report.planned.multiplications  # 7·2·5
        (70, 70)
    """

    def cost_of_fun(*args: Any, **kwargs: Any) -> CostReport:
        found: list[Linearized] = []
        given = args
        args, kwargs = jax.tree.map(_anywhere, (args, kwargs))

        def trace(args: tuple, kwargs: dict) -> list[jax.Array]:
            found.append(linearize_call(fun, argnums, args, kwargs))
            return found[0].residuals

        residuals = jax.make_jaxpr(trace)(args, kwargs)
        graph = found[0].graph
        forward, reverse = make_plan(graph, "forward").cost, make_plan(graph, "reverse").cost
        plan, results = choose(graph)
        return CostReport(
            forward,
            reverse,
            plan.cost,
            _executed(jax.jacfwd, fun, argnums, args, kwargs),
            _executed(jax.jacrev, fun, argnums, args, kwargs),
            plan,
            *_sizes(graph, results),
            _program(graph, results, fun, argnums, (given, kwargs), residuals),
        )

    return cost_of_fun


def _program(
    graph: Graph,
    results: Results,
    fun: Callable,
    argnums: int | Sequence[int],
    given: tuple[tuple, dict],
    residuals: Any,
) -> Program:
    """What can be shared out, with how the arguments lie on a mesh.

    Args:
        graph: the local Jacobians.
        results: the terms of each output by each input.
        fun: the function.
        argnums: which positional arguments it is differentiated by.
        given: its arguments and keyword arguments.
        residuals: the program from these to the graph's leaves, as a jaxpr.
    """
    args, keywords = given
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    names = [name for n in numbers for name in leaf_names(fun, args, (n % len(args),))]
    called = [name for n in range(len(args)) for name in leaf_names(fun, args, (n,))]
    called += [f"{n}, by keyword" for n in range(len(jax.tree.leaves(keywords)))]
    leaves = jax.tree.leaves((args, keywords))
    arguments = {name: _argument(leaf) for name, leaf in zip(called, leaves, strict=True)}
    itemsizes = [graph.itemsizes[source] for source in graph.inputs]
    evaluate = partial(evaluated, residuals)
    return program_of(graph, results, itemsizes, names, arguments, evaluate)


def _argument(leaf: Any) -> Argument:
    """An argument's shape, and how it lies on a mesh."""
    shaped = jax.eval_shape(lambda x: x, leaf)
    sharding = _sharding(leaf)
    spec = () if sharding is None else sharding.spec
    entries = (entry if isinstance(entry, tuple) else (entry,) for entry in spec)
    lies = {n: axis for axis, e in enumerate(entries) for n in e if isinstance(n, str)}
    return Argument(shaped.shape, shaped.dtype.itemsize, lies)


def _sharding(leaf: Any) -> NamedSharding | None:
    """How an argument lies on a mesh, where it says so."""
    if isinstance(leaf, jax.core.Tracer):
        return None
    sharding = getattr(leaf, "sharding", None)
    return sharding if isinstance(sharding, NamedSharding) else None


def _anywhere(leaf: Any) -> Any:
    """The shape of an argument that lies on a mesh, which tracing would make part of its type."""
    if _sharding(leaf) is None:
        return leaf
    weak = getattr(leaf, "weak_type", False)
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, weak_type=weak)


def _executed(
    transform: Callable, fun: Callable, argnums: Any, args: Sequence[Any], kwargs: dict
) -> Cost | None:
    """The cost of JAX's own program, or None where JAX has none for this function."""
    try:
        return count(lambda args, kwargs: transform(fun, argnums)(*args, **kwargs), args, kwargs)
    except (TypeError, ValueError):
        return None


def _sizes(graph: Graph, results: Results) -> tuple[int, int]:
    """The bytes of the dense and of the structured result."""
    dense = stored = 0
    for (source, target), terms in results.items():
        entries = 1
        for extent in graph.shapes[source] + graph.shapes[target]:
            entries *= extent
        dense += entries * graph.itemsizes[source]
        stored += sum({id(f.node): f.node.nbytes for t in terms for f in t.factors}.values())
    return dense, stored
