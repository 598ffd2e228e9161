"""A function's own program, read so that it can be divided among devices.

What a Jacobian is computed from are values on the function's way. How devices have these, and what
they send for it, follows from the same division as the Jacobian's: here each equation becomes a
`Step` that says which axes of its operands and results go together.
"""

from collections.abc import Sequence
from itertools import count
from typing import Any

from jax.extend.core import ClosedJaxpr, JaxprEqn

from layouts.mesh.steps import Step
from layouts.nodes import Indices, Leaf, Node, Reshape, Shape
from layouts.walking import inlined, walk

_ENTRYWISE_NAMES = """
    abs acos acosh add add_any and asin asinh atan atan2 atanh bessel_i0e bessel_i1e
    bitcast_convert_type cbrt ceil clamp clz complex conj convert_element_type copy cos cosh digamma
    div eq eq_to erf erf_inv erfc exp exp2 expm1 floor ge gt igamma igamma_grad_a igammac imag
    integer_pow is_finite le le_to lgamma log log1p log2 logistic lt lt_to max min mul mulhi name ne
    neg nextafter not one_minus_square or polygamma polynomial population_count pow real
    reduce_precision regularized_incomplete_beta rem round rsqrt select_n sharding_constraint
    shift_left shift_right_arithmetic shift_right_logical sign sin sinh sqrt square stop_gradient
    sub tan tanh xor zeta
"""
_ENTRYWISE = frozenset(_ENTRYWISE_NAMES.split())
_HANDED_ON = frozenset(["device_put", "optimization_barrier"])
_REDUCTIONS = frozenset(
    f"reduce_{kind}" for kind in ("sum", "max", "min", "prod", "and", "or", "xor")
)
_ALONG_ONE_AXIS = {
    "argmax": "axes",
    "argmin": "axes",
    "concatenate": "dimension",
    "cumlogsumexp": "axis",
    "cummax": "axis",
    "cummin": "axis",
    "cumprod": "axis",
    "cumsum": "axis",
    "rev": "dimensions",
    "sort": "dimension",
    "split": "axis",
}


def evaluated(closed: ClosedJaxpr, arguments: Sequence[Leaf], first: int) -> list[Node]:
    """What a program returns, as nodes.

    Args:
        closed: the program.
        arguments: a leaf for each of its inputs.
        first: indices of leaves are free from here on; constants, which every device has, take
            them.
    """
    free = count(first)

    def constant(value: Any) -> Node:
        shape = tuple(getattr(value, "shape", ()))
        itemsize = getattr(getattr(value, "dtype", None), "itemsize", 4)
        return Leaf(shape, itemsize, (), next(free))

    def step(equation: JaxprEqn, operands: Sequence[Node]) -> Sequence[Node]:
        if called := inlined(equation, operands):
            body, constants, given = called
            return walk(body, list(map(constant, constants)), given, step, literal)
        if equation.primitive.name in _HANDED_ON:
            return list(operands)
        return [_node(equation, number, operands) for number in range(len(equation.outvars))]

    def literal(atom: Any) -> Node:
        return constant(atom.val)

    constants = [constant(value) for value in closed.consts]
    return walk(closed.jaxpr, constants, list(arguments), step, literal)


def _node(equation: JaxprEqn, number: int, operands: Sequence[Node]) -> Node:
    """One result of an equation."""
    name, params = equation.primitive.name, equation.params
    aval: Any = equation.outvars[number].aval
    shape, itemsize = tuple(aval.shape), getattr(aval.dtype, "itemsize", 0)
    if name in ("reshape", "squeeze", "expand_dims") and len(operands) == 1:
        return Reshape(shape, itemsize, (operands[0],))
    together = _together(name, params, shape, operands)
    if together is None:  # each device needs all of every operand
        free = count(len(shape))
        together = [tuple(next(free) for _ in node.shape) for node in operands], set()
        together[1].update(range(next(free)))
    indices, whole = together
    sizes = dict(enumerate(shape))
    for node, carried in zip(operands, indices, strict=True):
        for index, extent in zip(carried, node.shape, strict=True):
            sizes.setdefault(index, extent)
    return Step(
        shape,
        itemsize,
        tuple(operands),
        tuple(indices),
        tuple(range(len(shape))),
        tuple(sizes.get(index, 1) for index in range(1 + max(sizes, default=-1))),
        frozenset(whole & sizes.keys()),
        (name, number, id(equation)),
    )


def _together(
    name: str, params: Any, shape: Shape, operands: Sequence[Node]
) -> tuple[list[Indices], set[int]] | None:
    """For each axis of each operand the result's axis that it goes with, or a number of its own.

    Returns:
        These, and the numbers along which nothing can be divided; None for a step that mixes all.
    """
    rank, free = len(shape), count(len(shape))
    if name in _ENTRYWISE and all(len(node.shape) in (0, rank) for node in operands):
        return [
            tuple(
                axis if extent == shape[axis] else next(free)
                for axis, extent in enumerate(node.shape)
            )
            for node in operands
        ], set()
    if name == "dot_general":
        return _product(params["dimension_numbers"], operands), set()
    if name == "transpose":
        places = {old: new for new, old in enumerate(params["permutation"])}
        return [tuple(places[axis] for axis in range(rank))], set()
    if name == "broadcast_in_dim":
        (node, *_), axes = operands, params["broadcast_dimensions"]
        pairs = zip(axes, node.shape, strict=True)
        first = tuple(n if extent == shape[n] else next(free) for n, extent in pairs)
        return [first, *(() for _ in operands[1:])], set()
    if name in _REDUCTIONS:
        kept = count()
        (node,) = operands
        carried = [
            next(free) if n in params["axes"] else next(kept) for n in range(len(node.shape))
        ]
        return [tuple(carried)], set()
    return _moved(name, params, shape, operands)


def _product(numbers: Any, operands: Sequence[Node]) -> list[Indices]:
    """The result has the batch axes, then what is left of the one operand, then of the other."""
    summed, batch = numbers
    fresh = count()
    found: list[dict[int, int]] = [{}, {}]
    for pair in zip(*batch, strict=True):
        index = next(fresh)
        for place, axis in enumerate(pair):
            found[place][axis] = index
    for place, node in enumerate(operands):
        for axis in range(len(node.shape)):
            if axis not in found[place] and axis not in summed[place]:
                found[place][axis] = next(fresh)
    for pair in zip(*summed, strict=True):
        index = next(fresh)
        for place, axis in enumerate(pair):
            found[place][axis] = index
    return [
        tuple(axes[axis] for axis in range(len(node.shape)))
        for axes, node in zip(found, operands, strict=True)
    ]


def _moved(
    name: str, params: Any, shape: Shape, operands: Sequence[Node]
) -> tuple[list[Indices], set[int]] | None:
    """Steps along some axes that leave the others alone."""
    rank, free = len(shape), count(len(shape))
    if name in _ALONG_ONE_AXIS:
        along = params[_ALONG_ONE_AXIS[name]]
        along = {*along} if isinstance(along, tuple) else {along}
        if name in ("argmax", "argmin"):
            kept = count()
            own = [next(free) if n in along else next(kept) for n in range(rank + len(along))]
            return [tuple(own)], set(own) - set(range(rank))
        carried = [tuple(next(free) if n in along else n for n in range(rank)) for _ in operands]
        return carried, set(range(rank, next(free))) | along
    if name in ("slice", "pad", "dynamic_slice"):
        node, *rest = operands
        same = [extent == shape[n] for n, extent in enumerate(node.shape)]
        if name == "pad":
            same = [a and not any(c) for a, c in zip(same, params["padding_config"], strict=True)]
        first = tuple(n if whole else next(free) for n, whole in enumerate(same))
        changed = {n for n, whole in enumerate(same) if not whole} | {*range(rank, next(free))}
        return [first, *(() for _ in rest)], changed
    if name == "conv_general_dilated" and params["batch_group_count"] == 1:
        return _convolution(params, operands, rank)
    return None


def _convolution(
    params: Any, operands: Sequence[Node], rank: int
) -> tuple[list[Indices], set[int]]:
    """Samples, and the features of the result, are each on their own."""
    numbers, free = params["dimension_numbers"], count(rank)
    image, kernel = operands
    left = [next(free) for _ in image.shape]
    right = [next(free) for _ in kernel.shape]
    left[numbers.lhs_spec[0]] = numbers.out_spec[0]
    if params["feature_group_count"] == 1:
        right[numbers.rhs_spec[0]] = numbers.out_spec[1]
        right[numbers.rhs_spec[1]] = left[numbers.lhs_spec[1]]
    divided = {numbers.out_spec[0], numbers.out_spec[1], left[numbers.lhs_spec[1]]}
    return [tuple(left), tuple(right)], set(range(next(free))) - divided
