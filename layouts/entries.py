"""What a structured Jacobian holds, and how its entries are read: dense, in blocks, sparse."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any, Self

import jax
import jax.numpy as jnp
import numpy as np

from layouts import algebra, extract
from layouts.conventions import Convention, Layout
from layouts.coordinates import coordinates
from layouts.errors import LayoutError
from layouts.evaluate import evaluate
from layouts.formulas.of_terms import kronecker_of
from layouts.formulas.tree import Call
from layouts.mesh.partitioned import compute
from layouts.mesh.sharding import Sharded, checked, lifted
from layouts.nodes import Leaf, Node, Reshape
from layouts.show.terms import terms_text
from layouts.show.text import text
from layouts.storing import Arrays, Names, Structure, nodes_of, with_numbers
from layouts.terms import Terms

if TYPE_CHECKING:
    from jax.experimental import sparse

Shape = tuple[int, ...]
# What makes a form of stacked arrays more than a sum of Kronecker products.
STACKED = {"vec", "commutation"}


@dataclass(frozen=True, eq=False, repr=False)
class Entries:
    """A sum of stored terms; the part of a `Jacobian` that only reads it.

    Attributes:
        terms: the sum; each factor is a `Leaf` whose index is a place in `arrays`.
        arrays: the stored factors.
        out_shape: shape of the output.
        in_shape: shape of the input.
        dtype: of the dense array, as JAX would return it.
        names: how `str` calls the output and the input.
    """

    terms: Terms
    arrays: Arrays
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
        """The bytes of the stored factors, a shared one once; not those of the dense array.

        Example:
            >>> import jax.numpy as jnp, layouts
            >>> J = layouts.jacobian(jnp.tanh, structured=True)(jnp.ones(1000, jnp.float32))
            >>> J.nbytes, J.dense().nbytes
            (4000, 4000000)
        """
        distinct = {id(array): array for array in self.arrays}
        return sum(a.size * np.dtype(a.dtype).itemsize for a in distinct.values())

    def dense(self, *, out_sharding: Any = None) -> jax.Array:
        """The array of shape out_shape + in_shape that `jax.jacrev` gives.

        Args:
            out_sharding: how it lies on a mesh of devices, none of which makes the whole: a
                `jax.sharding.NamedSharding` or a `PartitionSpec`, an entry for each axis. Without
                one, axes are split as the factors that carry them are, where that can be seen.

        Raises:
            LayoutError: an `out_sharding` that does not fit the shape, the mesh or the devices.

        Example:
            >>> import jax.numpy as jnp, layouts
            >>> layouts.jacobian(lambda x: x**2, structured=True)(jnp.arange(2.0)).dense().tolist()
            [[0.0, 0.0], [0.0, 2.0]]
        """
        return self._dense_of(self.terms, self.shape, (), out_sharding)

    def matrix(
        self,
        layout: Layout | str = Layout.NUMERATOR,
        vec: str = "rows",
        *,
        out_sharding: Any = None,
    ) -> jax.Array:
        """The dense Jacobian as a matrix.

        Args:
            layout: "numerator" for (out.size, in.size), "denominator" for its transpose.
            vec: how each side is stacked into one index, by "rows" or by "columns".
            out_sharding: how the matrix lies on a mesh, as in `dense`.

        Raises:
            LayoutError: another layout, another vec order, or an `out_sharding` that does not fit.

        Example:
            >>> import jax.numpy as jnp, layouts
            >>> J = layouts.jacobian(lambda X: X.T, structured=True)(jnp.ones((3, 5)))
            >>> J.matrix().shape, bool((J.matrix(vec="columns") == J.matrix().T).all())
            ((15, 15), True)
        """
        terms, out, into = self._turned(layout, vec)
        return self._dense_of(terms, out + into, (), out_sharding, (prod(out), prod(into)))

    def diagonal(self, *, out_sharding: Any = None) -> jax.Array:
        """The entries `J[i..., i...]`, an array of shape out_shape.

        Args:
            out_sharding: how they lie on a mesh, as in `dense`.

        Raises:
            LayoutError: output and input differ in shape.

        Example:
            >>> import jax.numpy as jnp, layouts
            >>> J = layouts.jacobian(jnp.cumprod, structured=True)(jnp.arange(1.0, 4.0))
            >>> J.diagonal().tolist()
            [1.0, 1.0, 2.0]
        """
        if self.out_shape != self.in_shape:
            raise LayoutError(
                "J.diagonal()",
                "output and input of the same shape",
                f"output shape {self.out_shape}, input shape {self.in_shape}",
                "J.blocks(axis) takes the entries along one axis that both have",
            )
        pairs = [(axis, axis) for axis in range(len(self.out_shape))]
        return self._tied(pairs, self.out_shape, out_sharding)

    def blocks(self, axis: int | tuple[int, int] = 0, *, out_sharding: Any = None) -> jax.Array:
        """The blocks along an axis that output and input share: `B[n, ...] = J[..n.., ..n..]`.

        With samples along the axis these are the Jacobians of each sample: what
        `vmap(jacrev(f_of_one_sample))` gives. Entries off the blocks are not looked at;
        `is_block_diagonal` says whether they are known to be zero.

        Args:
            axis: the axis on both sides, or a pair (output axis, input axis). It may be negative.
            out_sharding: how the blocks lie on a mesh, as in `dense`.

        Returns:
            An array of shape (n,) + the other output axes + the other input axes.

        Raises:
            LayoutError: an axis that one side lacks, or of two sizes.

        Example:
            >>> import jax.numpy as jnp, layouts
            >>> W, X = jnp.ones((3, 2)), jnp.ones((100, 3))
            >>> J = layouts.jacobian(lambda X: jnp.tanh(X @ W), structured=True)(X)
            >>> J.shape, J.blocks().shape
            ((100, 2, 100, 3), (100, 2, 3))
        """
        one, other = self._pair(axis)
        rest = [n for k, n in enumerate(self.out_shape) if k != one]
        rest += [n for k, n in enumerate(self.in_shape) if k != other]
        return self._tied([(one, other)], (self.out_shape[one], *rest), out_sharding)

    def is_block_diagonal(self, axis: int | tuple[int, int] = 0) -> bool:
        """Whether the structure alone says that entries off the blocks are zero.

        Args:
            axis: as in `blocks`.

        Returns:
            True where every term has a delta along the axis. False is no proof that another entry
            is there: a factor may hold zeros.

        Raises:
            LayoutError: as `blocks`.

        Example:
            >>> import jax, jax.numpy as jnp, layouts
            >>> J = layouts.jacobian(jax.nn.softmax, structured=True)(jnp.ones((7, 3)))
            >>> J.is_block_diagonal(0), J.is_block_diagonal(1)
            (True, False)
        """
        return extract.is_tied(self.terms, self._pair(axis))

    def to_bcoo(self) -> "sparse.BCOO":
        """The Jacobian as a JAX sparse array of its shape, with every axis sparse.

        The number of stored entries is what the structure says: a delta is a diagonal, a factor
        and the labels that nothing carries are full. Terms that meet at a place have an entry each,
        as that format allows (`sum_duplicates` adds them); entries that a table of places leaves
        out are padding. `J.to_bcoo().reshape(m, n)` is the sparse matrix.

        Example:
            >>> import jax.numpy as jnp, layouts
            >>> x = jnp.ones(1000, jnp.float32)
            >>> layouts.jacobian(lambda x: x[1:] - x[:-1], structured=True)(x).to_bcoo()
            BCOO(float32[999, 1000], nse=1998)
        """
        from jax.experimental import sparse  # a quarter of a second that few need

        arrays = self._checked
        found = [coordinates(term, arrays, self.shape, self.dtype) for term in self.terms]
        data = [jnp.zeros(0, self.dtype), *(entries for entries, *_ in found)]
        indices = [jnp.zeros((0, self.ndim), jnp.int32), *(places for _, places, _ in found)]
        unique = len(found) < 2 and all(whole for *_, whole in found)
        return sparse.BCOO(
            (jnp.concatenate(data), jnp.concatenate(indices)),
            shape=self.shape,
            unique_indices=unique,
        )

    def kronecker(self, layout: Layout | str = Layout.NUMERATOR, vec: str = "rows") -> str | None:
        """The matrix as Kronecker products, such as `I₄ ⊗ Xᵀ`; None where a term has no such form.

        Args:
            layout: "numerator" or "denominator".
            vec: "rows" or "columns", which turns the products round.

        Raises:
            LayoutError: another layout, or another vec order.

        Example:
            >>> import jax.numpy as jnp, layouts
            >>> A, X = jnp.ones((2, 3)), jnp.ones((3, 5))
            >>> layouts.jacobian(lambda X: A @ X, structured=True)(X).kronecker("denominator")
            'Aᵀ ⊗ I₅'
        """
        convention = self._of_matrix(layout, vec)
        terms = tuple(with_numbers(term, self.arrays, exact=True) for term in self.terms)
        turned, taken = convention.layout is Layout.DENOMINATOR, (self.names.out, self.names.into)
        if any(term.selections for term in terms):
            return None
        found = kronecker_of(terms, turned, vec, taken)
        calls = [part for part in found.walk() if isinstance(part, Call)] if found else []
        return text(found) if found and not {call.function for call in calls} & STACKED else None

    @staticmethod
    def _of_matrix(layout: Layout | str, vec: str) -> Convention:
        """The convention of a matrix."""
        convention = Convention(layout, vec)  # type: ignore[arg-type]
        if convention.layout is Layout.MIXED:
            raise LayoutError(
                "layout of a matrix",
                "'numerator' or 'denominator'",
                "'mixed', whose shapes differ from case to case",
                "layouts.arrange(J, 'mixed') gives the shape of this case",
            )
        return convention

    def _turned(self, layout: Layout | str, vec: str) -> tuple[Terms, Shape, Shape]:
        """The terms with their axes in the order that a layout and a vec order stack them in."""
        convention = self._of_matrix(layout, vec)
        terms, out, into = self.terms, self.out_shape, self.in_shape
        if convention.layout is Layout.DENOMINATOR:
            terms, out, into = algebra.transpose(terms), into, out
        if vec == "columns":  # the first index runs fastest: the axes of each side in reverse
            terms = tuple(replace(t, out=t.out[::-1], into=t.into[::-1]) for t in terms)
            out, into = out[::-1], into[::-1]
        return terms, out, into

    def __str__(self) -> str:
        """The terms in index notation."""
        terms = tuple(with_numbers(term, self.arrays) for term in self.terms)
        return terms_text(terms, self.names.out, self.names.into)

    def __repr__(self) -> str:
        return (
            f"Jacobian(out_shape={self.out_shape}, in_shape={self.in_shape}, "
            f"dtype={jnp.dtype(self.dtype).name}, terms={len(self.terms)}, nbytes={self.nbytes})"
        )

    def _dense_of(
        self,
        terms: Terms,
        shape: Shape,
        extra: tuple = (),
        out_sharding: Any = None,
        folded: Shape | None = None,
        own: Sharded = None,
    ) -> jax.Array:
        """The dense array of terms, perhaps in another shape; `own` is how it lies by itself."""
        itemsize = jnp.dtype(self.dtype).itemsize
        arrays = self._checked + extra
        node = algebra.write(terms, shape, itemsize)
        sharding = None
        if out_sharding is not None:
            sharding = checked(out_sharding, shape if folded is None else folded, arrays)
        elif folded is None:
            sharding = own or lifted(terms, arrays)
        if folded is not None:
            node = Reshape(folded, itemsize, (node,))
        (array,) = compute([node], arrays, [sharding], [self.dtype])
        return array

    @property
    def _checked(self) -> Arrays:
        """The factors, if each has the shape that the structure says."""
        for term in self.terms:
            for node in nodes_of(term):
                assert isinstance(node, Leaf)
                if (shape := jnp.shape(self.arrays[node.index])) != node.shape:
                    raise LayoutError(
                        "factor of a Jacobian",
                        f"shape {node.shape}",
                        f"shape {shape}, so that this is a batch of Jacobians",
                        "map what is done with them too, as in jax.vmap(lambda J: J.dense())(J)",
                    )
        return self.arrays

    def _arrays_in(self, dtype: Any) -> Arrays:
        """The factors, no less exact than a dtype that is not this Jacobian's own."""
        if dtype == self.dtype:
            return self._checked
        return tuple(
            a.astype(jnp.promote_types(a.dtype, dtype))
            if jnp.issubdtype(a.dtype, jnp.inexact)
            else a
            for a in self._checked
        )

    def _pair(self, axis: int | tuple[int, int]) -> tuple[int, int]:
        """An axis on each side, counted from the front."""
        pair = axis if isinstance(axis, tuple) else (axis, axis)
        sides = (self.out_shape, self.in_shape)
        within = len(pair) == 2 and all(
            hasattr(n, "__index__") and -len(shape) <= n < len(shape)
            for n, shape in zip(pair, sides, strict=True)
        )
        if not within or len({shape[n] for n, shape in zip(pair, sides, strict=True)}) > 1:
            raise LayoutError(
                "axis of blocks",
                "an axis of one size in output and input, or a pair (output axis, input axis)",
                f"{axis} with output shape {self.out_shape} and input shape {self.in_shape}",
                "name the axis of the samples on both sides",
            )
        return pair[0] % len(self.out_shape), pair[1] % len(self.in_shape)

    def _tied(self, pairs: Sequence[tuple[int, int]], shape: Shape, out_sharding: Any) -> jax.Array:
        """The entries where the paired axes are at the same place."""
        terms, tables = extract.tied(self.terms, pairs, len(self.arrays))
        points = tuple(map(self._fixed_points, tables))
        return self._dense_of(terms, shape, points, out_sharding)

    def _fixed_points(self, table: Node) -> jax.Array:
        """Ones where a table of places lists a place at that place."""
        (places,) = evaluate([table], self.arrays)
        return (places == jnp.arange(table.size)).astype(self.dtype)

    @cached_property
    def structure(self) -> Structure:
        """Everything but the arrays."""
        return Structure(
            self.terms, self.out_shape, self.in_shape, jnp.dtype(self.dtype), self.names
        )

    def tree_flatten(self) -> tuple[Arrays, Structure]:
        """The factors are the leaves; the structure is static."""
        return self.arrays, self.structure

    @classmethod
    def tree_unflatten(cls, structure: Structure, arrays: Sequence[jax.Array]) -> Self:
        """Rebuild from factors and structure; every call of a jitted function comes by here."""
        made = object.__new__(cls)
        made.__dict__.update(structure.fields, arrays=tuple(arrays), structure=structure)
        return made
