"""The structured Jacobian: a sum of terms whose factors are arrays."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import jax
import jax.numpy as jnp

from layouts import algebra
from layouts.axes import Axes, Label
from layouts.conventions import Convention, Layout
from layouts.errors import LayoutError
from layouts.evaluate import cast, evaluate
from layouts.program import Leaf, Node, Reshape
from layouts.selection import Selection
from layouts.show.terms import kronecker_text, terms_text
from layouts.terms import Factor, Term, Terms, matching

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Names:
    """How formulas call the output and the input; of no account when Jacobians are compared."""

    out: str = "D"
    into: str = "X"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Names)

    def __hash__(self) -> int:
        return 0


@jax.tree_util.register_pytree_node_class
@dataclass(frozen=True, eq=False)
class Jacobian:
    """A linear map from arrays of `in_shape` to arrays of `out_shape`, stored as its terms.

    Made by `layouts.jacobian(f, structured=True)`; a JAX pytree whose leaves are the factors.

    Attributes:
        terms: the sum; each factor is a `Leaf` whose index is a place in `arrays`.
        arrays: the stored factors.
        out_shape: shape of the output.
        in_shape: shape of the input.
        dtype: of the dense array, as JAX would return it.
        names: how `str` calls the output and the input.

    Example:
        >>> import jax.numpy as jnp, layouts
        >>> W, X = jnp.ones((4, 3)), jnp.arange(15.0).reshape(3, 5)
        >>> J = layouts.jacobian(lambda W, X: W @ X, structured=True)(W, X)
        >>> print(J)
        dD[i,j]/dW[k,l] = δ[i,k] X[l,j]
        >>> J.shape, J.dense().shape, J.matrix().shape
        ((4, 5, 4, 3), (4, 5, 4, 3), (20, 12))
        >>> J.kronecker(), J.kronecker(vec="columns")
        ('I₄ ⊗ Xᵀ', 'Xᵀ ⊗ I₄')
    """

    terms: Terms
    arrays: tuple[jax.Array, ...]
    out_shape: Shape
    in_shape: Shape
    dtype: Any
    names: Names = field(default_factory=Names)

    @property
    def shape(self) -> Shape:
        """The shape of the dense array: out_shape + in_shape."""
        return self.out_shape + self.in_shape

    @property
    def ndim(self) -> int:
        """The number of axes of the dense array."""
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """The bytes of the stored factors, not of the dense array."""
        return sum(array.nbytes for array in self.arrays)

    def dense(self) -> jax.Array:
        """The array of shape out_shape + in_shape that `jax.jacrev` gives."""
        return self._dense_of(self.terms, self.shape)

    def matrix(self, layout: Layout | str = Layout.NUMERATOR, vec: str = "rows") -> jax.Array:
        """The dense Jacobian as a matrix.

        Args:
            layout: "numerator" for (out.size, in.size), "denominator" for its transpose.
            vec: how each side is stacked into one index, by "rows" or by "columns".

        Raises:
            LayoutError: another layout, or another vec order.
        """
        terms, out, into = self._turned(layout, vec)
        return self._dense_of(terms, out + into).reshape(prod(out), prod(into))

    @property
    def T(self) -> "Jacobian":
        """The same map with output and input swapped: it carries cotangents back."""
        names = Names(self.names.into, self.names.out)
        terms = algebra.transpose(self.terms)
        return Jacobian(terms, self.arrays, self.in_shape, self.out_shape, self.dtype, names)

    def __matmul__(self, other: "Jacobian") -> "Jacobian":
        """The chain rule: the Jacobian of this map after the other one.

        Raises:
            LayoutError: the output of `other` is not the input of this.
        """
        if not isinstance(other, Jacobian):
            raise LayoutError(
                "right operand of @",
                "a layouts.Jacobian",
                type(other).__name__,
                "push an array through with J.jvp(tangent)",
            )
        if self.in_shape != other.out_shape:
            raise LayoutError(
                "J @ K",
                f"K's output to have the shape of J's input, {self.in_shape}",
                f"K with the output shape {other.out_shape} (and input shape {other.in_shape})",
                "compose in the order of the chain, outermost first",
            )
        terms = algebra.compose(self.terms, _shifted(other.terms, len(self.arrays)))
        return _stored(
            terms,
            self.arrays + other.arrays,
            self.out_shape,
            other.in_shape,
            jnp.promote_types(self.dtype, other.dtype),
            Names(self.names.out, other.names.into),
        )

    def jvp(self, tangent: jax.Array) -> jax.Array:
        """Push a tangent of shape in_shape to the output: `Σ J[out, in] tangent[in]`.

        Raises:
            LayoutError: a tangent of another shape.
        """
        return self._apply(self.terms, tangent, self.in_shape, self.out_shape, "tangent")

    def vjp(self, cotangent: jax.Array) -> jax.Array:
        """Pull a cotangent of shape out_shape back to the input: `J.T.jvp(cotangent)`.

        Raises:
            LayoutError: a cotangent of another shape.
        """
        terms = algebra.transpose(self.terms)
        return self._apply(terms, cotangent, self.out_shape, self.in_shape, "cotangent")

    def gram(self, side: str = "out") -> "Jacobian":
        """`J Jᵀ` (side "out", out × out: the tangent kernel) or `Jᵀ J` ("in": Gauss-Newton).

        Raises:
            LayoutError: another side.
        """
        if side not in ("out", "in"):
            raise LayoutError("gram side", "'out' or 'in'", repr(side), "J.gram('out') is J Jᵀ")
        return self @ self.T if side == "out" else self.T @ self

    def kronecker(self, layout: Layout | str = Layout.NUMERATOR, vec: str = "rows") -> str | None:
        """The matrix as Kronecker products, such as `I₄ ⊗ Xᵀ`; None where a term has no such form.

        Args:
            layout: "numerator" or "denominator".
            vec: "rows" or "columns", which turns the products round.

        Raises:
            LayoutError: another layout, or another vec order.
        """
        taken = (self.names.out, self.names.into)
        terms, _, _ = self._turned(layout, vec)
        return kronecker_text(tuple(self._with_numbers(t, exact=True) for t in terms), taken)

    def _turned(self, layout: Layout | str, vec: str) -> tuple[Terms, Shape, Shape]:
        """The terms with their axes in the order that a layout and a vec order stack them in."""
        convention = Convention(layout, vec)  # type: ignore[arg-type]
        if convention.layout is Layout.MIXED:
            raise LayoutError(
                "layout of a matrix",
                "'numerator' or 'denominator'",
                "'mixed', whose shapes differ from case to case",
                "layouts.arrange(J, 'mixed') gives the shape of this case",
            )
        terms, out, into = self.terms, self.out_shape, self.in_shape
        if convention.layout is Layout.DENOMINATOR:
            terms, out, into = algebra.transpose(terms), into, out
        if vec == "columns":  # the first index runs fastest: the axes of each side in reverse
            terms = tuple(replace(t, out=t.out[::-1], into=t.into[::-1]) for t in terms)
            out, into = out[::-1], into[::-1]
        return terms, out, into

    def __str__(self) -> str:
        """The terms in index notation."""
        terms = tuple(map(self._with_numbers, self.terms))
        return terms_text(terms, self.names.out, self.names.into)

    def _with_numbers(self, term: Term, exact: bool = False) -> Term:
        """The term with its nameless scalars as the numbers that they are, where they are known.

        With `exact`, only those that print without rounding.
        """
        kept, coefficient = [], term.coefficient
        for factor in term.factors:
            number = self._number(factor)
            if number is None or (exact and complex(f"{number:.4g}") != number):
                kept.append(factor)
            else:
                coefficient = coefficient * number
        return replace(term, factors=tuple(kept), coefficient=coefficient)

    def _number(self, factor: Factor) -> complex | None:
        """The value of a nameless scalar, where it is known."""
        assert isinstance(factor.node, Leaf)
        value = self.arrays[factor.node.index]
        if factor.node.name or value.ndim or isinstance(value, jax.core.Tracer):
            return None
        return value.item()

    def __repr__(self) -> str:
        return (
            f"Jacobian(out_shape={self.out_shape}, in_shape={self.in_shape}, "
            f"dtype={jnp.dtype(self.dtype).name}, terms={len(self.terms)}, nbytes={self.nbytes})"
        )

    def _dense_of(self, terms: Terms, shape: Shape, extra: tuple = ()) -> jax.Array:
        node = algebra.write(terms, shape, jnp.dtype(self.dtype).itemsize)
        (array,) = evaluate([node], self.arrays + extra)
        return cast(array, self.dtype)

    def _apply(
        self, terms: Terms, vector: jax.Array, into: Shape, out: Shape, what: str
    ) -> jax.Array:
        vector = jnp.asarray(vector)
        if vector.shape != into:
            raise LayoutError(
                what, f"shape {into}", f"shape {vector.shape}", f"give one {what} of that shape"
            )
        leaf = Leaf(vector.shape, vector.dtype.itemsize, (), len(self.arrays))
        pushed = algebra.compose(terms, algebra.dense(leaf, into, ()))
        dtype = jnp.promote_types(self.dtype, vector.dtype)
        kept = dtype if jnp.issubdtype(dtype, jnp.complexfloating) else self.dtype
        return replace(self, dtype=kept)._dense_of(pushed, out, (vector,))

    def tree_flatten(self) -> tuple[tuple[jax.Array, ...], tuple]:
        """The factors are the leaves; the structure is static."""
        structure = tuple(_encode(term) for term in self.terms)
        return self.arrays, (structure, self.out_shape, self.in_shape, self.dtype, self.names)

    @classmethod
    def tree_unflatten(cls, static: tuple, arrays: Sequence[jax.Array]) -> "Jacobian":
        """Rebuild from factors and structure."""
        structure, *rest = static
        return cls(tuple(_decode(code) for code in structure), tuple(arrays), *rest)


def _stored(
    terms: Terms,
    residuals: Sequence[jax.Array],
    out_shape: Shape,
    in_shape: Shape,
    dtype: Any,
    names: Names,
) -> Jacobian:
    """Evaluate the factors of symbolic terms and keep them."""
    (jacobian,) = store([(terms, out_shape, in_shape, dtype, names)], residuals)
    return jacobian


def store(
    wanted: Sequence[tuple[Terms, Shape, Shape, Any, Names]], residuals: Sequence[jax.Array]
) -> list[Jacobian]:
    """Evaluate the factors of several symbolic Jacobians in one program and keep them.

    Args:
        wanted: for each its terms, output shape, input shape, dtype and names.
        residuals: the array for each leaf of the terms' programs.
    """
    wanted = [(tuple(map(algebra.settle, terms)), *rest) for terms, *rest in wanted]
    nodes = [node for terms, *_ in wanted for term in terms for node in _nodes(term)]
    values = iter(evaluate(nodes, residuals))
    jacobians = []
    for terms, out_shape, in_shape, dtype, names in wanted:
        arrays: list[jax.Array] = []
        kept = []
        for term in terms:
            leaves = []
            for node in _nodes(term):
                array = next(values)
                place = next((n for n, known in enumerate(arrays) if known is array), len(arrays))
                arrays += [array] if place == len(arrays) else []
                leaves.append(Leaf(array.shape, array.dtype.itemsize, (), place, _name(node)))
            kept.append(_on(term, leaves))
        jacobians.append(Jacobian(tuple(kept), tuple(arrays), out_shape, in_shape, dtype, names))
    return jacobians


def _nodes(term: Term) -> list[Node]:
    """The arrays of a term: its factors, then the tables of its selections."""
    tables = [s.table for s in term.selections if s.table is not None]
    return [factor.node for factor in term.factors] + tables


def _on(term: Term, nodes: Sequence[Node]) -> Term:
    """The same term on other arrays, in the order of `_nodes`."""
    given = iter(nodes)
    factors = tuple(Factor(next(given), factor.labels) for factor in term.factors)
    selections = tuple(
        s if s.table is None else replace(s, table=next(given)) for s in term.selections
    )
    return replace(term, factors=factors, selections=selections)


def _name(node: Node) -> str | None:
    """A factor that is an array of the user's, perhaps without its axes of size one."""
    while isinstance(node, Reshape):
        (node,) = node.operands
    return node.name if isinstance(node, Leaf) else None


def _shifted(terms: Terms, offset: int) -> Terms:
    """The same terms with their leaves numbered after another Jacobian's."""
    return tuple(
        _on(
            term,
            [
                replace(node, index=node.index + offset)
                for node in _nodes(term)
                if isinstance(node, Leaf)
            ],
        )
        for term in terms
    )


def _encode(term: Term) -> tuple:
    """A term's structure as plain values, so that two Jacobians of one structure compare equal."""
    number = {label: place for place, label in enumerate(term.labels)}
    out, into, _ = matching(term)
    factors = tuple(tuple(number[label] for label in factor.labels) for factor in term.factors)
    selections = tuple(
        (number[s.place], number[s.label], (s.start, s.step, s.window), s.table is not None)
        for s in term.selections
    )
    leaves = tuple(
        (node.shape, node.itemsize, node.index, Names(node.name or ""))
        for node in _nodes(term)
        if isinstance(node, Leaf)
    )
    return out, into, factors, selections, leaves, term.coefficient


def _decode(code: tuple) -> Term:
    out, into, factors, selections, leaves, coefficient = code
    labels: dict[int, Label] = {}

    def axes(side: tuple) -> Axes:
        return tuple(
            tuple(labels.setdefault(number, Label(size)) for number, size in axis) for axis in side
        )

    nodes = [
        Leaf(shape, itemsize, (), index, name.out or None)
        for shape, itemsize, index, name in leaves
    ]
    term = Term(
        axes(out),
        axes(into),
        tuple(Factor(nodes[0], tuple(labels[n] for n in numbers)) for numbers in factors),
        coefficient,
        tuple(
            Selection(
                labels[place],
                labels.setdefault(label, Label(1)),  # on neither side: it only points
                start,
                step,
                window,
                nodes[0] if table else None,
            )
            for place, label, (start, step, window), table in selections
        ),
    )
    return _on(term, nodes)
