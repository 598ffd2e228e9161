"""The structured Jacobian: a sum of terms whose factors are arrays."""

import importlib
from cmath import isfinite
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeGuard

import jax
import jax.numpy as jnp
import numpy as np

from layouts import algebra
from layouts.entries import Entries
from layouts.errors import LayoutError
from layouts.mesh.sharding import Sharded, checked, lifted, rows_and_columns
from layouts.nodes import Leaf
from layouts.show.html import Shown
from layouts.storing import Names, settled, shifted
from layouts.terms import Factor, Terms

__all__ = ["Jacobian", "Names", "store"]

Shape = tuple[int, ...]
Number = complex | jax.Array
NUMBERS = (int, float, complex, np.generic, np.ndarray, jax.Array)


@jax.tree_util.register_pytree_node_class
@dataclass(frozen=True, eq=False, repr=False)
class Jacobian(Entries, Shown):
    """A linear map from arrays of `in_shape` to arrays of `out_shape`, stored as its terms.

    Made by `layouts.jacobian(f, structured=True)`; a JAX pytree whose leaves are the factors.
    Jacobians add up, compose by `@` and are multiplied by numbers, and what comes out is as
    structured as what went in. Only `dense` and `matrix` write the zeros.

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

    # So that NumPy leaves `array * J` to J, as JAX does.
    __array_ufunc__ = None

    @property
    def T(self) -> "Jacobian":
        """The same map with output and input swapped: it carries cotangents back.

        Example:
            >>> import jax.numpy as jnp, layouts
            >>> print(layouts.jacobian(lambda x: x * x.sum(), structured=True)(jnp.ones(3)).T)
            dx[i]/dD[k] = 3 δ[i,k] + x[k]
        """
        names = Names(self.names.into, self.names.out)
        terms = algebra.transpose(self.terms)
        return Jacobian(terms, self.arrays, self.in_shape, self.out_shape, self.dtype, names)

    def __matmul__(self, other: "Jacobian") -> "Jacobian":
        """The chain rule: the Jacobian of this map after the other one.

        Raises:
            LayoutError: the output of `other` is not the input of this.

        Example:
            >>> import jax.numpy as jnp, layouts
            >>> x = jnp.arange(3.0)
            >>> K = layouts.jacobian(jnp.sin, structured=True)(x)
            >>> J = layouts.jacobian(jnp.cumprod, structured=True)(jnp.sin(x))
            >>> bool(jnp.allclose((J @ K).dense(), J.dense() @ K.dense()))
            True
        """
        return self._composed(other, None)

    def _composed(self, other: "Jacobian", out_sharding: Any) -> "Jacobian":
        _check_operand("@", other, "push an array through with J.jvp(tangent)")
        if self.in_shape != other.out_shape:
            raise LayoutError(
                "J @ K",
                f"K's output to have the shape of J's input, {self.in_shape}",
                f"K with the output shape {other.out_shape} (and input shape {other.in_shape})",
                "compose in the order of the chain, outermost first",
            )
        dtype = jnp.promote_types(self.dtype, other.dtype)
        if out_sharding is None:
            left, right = lifted(self.terms, self.arrays), lifted(other.terms, other.arrays)
            ends = len(self.out_shape), right, other.ndim, len(other.in_shape)
            sharding = rows_and_columns(left, *ends)
        else:
            shape = self.out_shape + other.in_shape
            sharding = checked(out_sharding, shape, self.arrays + other.arrays)
        return _stored(
            algebra.compose(self.terms, shifted(other.terms, len(self.arrays))),
            self._arrays_in(dtype) + other._arrays_in(dtype),
            self.out_shape,
            other.in_shape,
            dtype,
            Names(self.names.out, other.names.into),
            sharding,
        )

    def __add__(self, other: "Jacobian") -> "Jacobian":
        """The Jacobian of the sum of two maps of the same shapes; like terms are added.

        Raises:
            LayoutError: shapes that differ, or an operand that is no Jacobian.

        Example:
            >>> import jax.numpy as jnp, layouts
            >>> x = jnp.arange(1.0, 4.0)
            >>> J, K = (layouts.jacobian(f, structured=True)(x) for f in (jnp.log, jnp.cumsum))
            >>> bool(jnp.allclose((J + K).dense(), J.dense() + K.dense()))
            True
            >>> sum([J, J]).nbytes == J.nbytes
            True
        """
        _check_operand("+", other, "write the Jacobian out with J.dense() to add arrays")
        return self._sum(other, 1, "J + K")

    def __radd__(self, other: Any) -> "Jacobian":
        """`sum` starts from the number 0; nothing else is added from the left."""
        if isinstance(other, int) and other == 0:
            return self
        return self.__add__(other)

    def __sub__(self, other: "Jacobian") -> "Jacobian":
        """The Jacobian of the difference of two maps of the same shapes.

        Raises:
            LayoutError: shapes that differ, or an operand that is no Jacobian.

        Example:
            >>> import jax.numpy as jnp, layouts
            >>> J = layouts.jacobian(jnp.sin, structured=True)(jnp.ones(3))
            >>> (J - J).dense().any().item()
            False
        """
        _check_operand("-", other, "write the Jacobian out with J.dense() to subtract arrays")
        return self._sum(other, -1, "J - K")

    def __neg__(self) -> "Jacobian":
        """The Jacobian of minus the map."""
        return replace(self, terms=algebra.scale(self.terms, -1))

    def __mul__(self, number: Number) -> "Jacobian":
        """The Jacobian times a number.

        A Python number becomes part of the structure, as it becomes part of a compiled program:
        another number, another structure. A scalar array, traced or not, is a value like the
        factors: derivatives go through it, and a new value compiles nothing anew. What the
        structure says is zero stays so, even times infinity.

        Args:
            number: a Python number, or an array of shape ().

        Raises:
            LayoutError: an array of another shape.

        Example:
            >>> import jax, jax.numpy as jnp, layouts
            >>> J = layouts.jacobian(lambda x: x[::-1], structured=True)(jnp.ones(3))
            >>> print(2 * J)
            dD[i]/dx[k] = 2 δ[2-i,k]
            >>> jax.grad(lambda rate: (rate * J).dense().sum())(0.5).item()
            3.0
        """
        if not isinstance(number, NUMBERS):
            return NotImplemented
        dtype = jnp.result_type(self.dtype, number)
        if _is_plain(number) and isfinite(number):
            if number == 0:
                return replace(self, terms=(), arrays=(), dtype=dtype)
            return replace(self, terms=algebra.scale(self.terms, number), dtype=dtype)
        scalar = jnp.asarray(number, dtype)
        if scalar.shape:
            raise LayoutError(
                "factor of a Jacobian",
                "a number or an array of shape ()",
                f"an array of shape {scalar.shape}",
                "compose with the Jacobian of the multiplication, or push an array with J.jvp",
            )
        factor = Factor(Leaf((), scalar.dtype.itemsize, (), len(self.arrays)), ())
        terms = tuple(replace(t, factors=(*t.factors, factor)) for t in self.terms)
        arrays = (*self._arrays_in(dtype), scalar)
        return _stored(terms, arrays, self.out_shape, self.in_shape, dtype, self.names)

    __rmul__ = __mul__

    def __truediv__(self, number: Number) -> "Jacobian":
        """The Jacobian divided by a number, as `*` multiplies it.

        Raises:
            LayoutError: an array of another shape than ().
            ZeroDivisionError: the Python number 0.

        Example:
            >>> import jax.numpy as jnp, layouts
            >>> print(layouts.jacobian(lambda x: x + x.mean(), structured=True)(jnp.ones(2)) / 4)
            dD[i]/dx[k] = 1/4 δ[i,k] + 1/8
        """
        return self * (1 / number) if isinstance(number, NUMBERS) else NotImplemented

    def jvp(self, tangent: jax.Array, *, out_sharding: Any = None) -> jax.Array:
        """Push a tangent of shape in_shape to the output: `Σ J[out, in] tangent[in]`.

        Args:
            tangent: an array of shape in_shape.
            out_sharding: how the result lies on a mesh, as in `dense`.

        Raises:
            LayoutError: a tangent of another shape, or an `out_sharding` that does not fit.

        Example:
            >>> import jax.numpy as jnp, layouts
            >>> J = layouts.jacobian(lambda x: x[1:] - x[:-1], structured=True)(jnp.ones(3))
            >>> J.jvp(jnp.array([1.0, 10.0, 100.0])).tolist()
            [9.0, 90.0]
        """
        shapes = self.in_shape, self.out_shape
        return self._apply(self.terms, tangent, *shapes, "tangent", out_sharding)

    def vjp(self, cotangent: jax.Array, *, out_sharding: Any = None) -> jax.Array:
        """Pull a cotangent of shape out_shape back to the input: `J.T.jvp(cotangent)`.

        Args:
            cotangent: an array of shape out_shape.
            out_sharding: how the result lies on a mesh, as in `dense`.

        Raises:
            LayoutError: a cotangent of another shape, or an `out_sharding` that does not fit.

        Example:
            >>> import jax.numpy as jnp, layouts
            >>> J = layouts.jacobian(lambda x: x[1:] - x[:-1], structured=True)(jnp.ones(3))
            >>> J.vjp(jnp.array([1.0, 10.0])).tolist()
            [-1.0, -9.0, 10.0]
        """
        terms = algebra.transpose(self.terms)
        shapes = self.out_shape, self.in_shape
        return self._apply(terms, cotangent, *shapes, "cotangent", out_sharding)

    def gram(self, side: str = "out", *, out_sharding: Any = None) -> "Jacobian":
        """`J Jᵀ` (side "out", out × out: the tangent kernel) or `Jᵀ J` ("in": Gauss-Newton).

        For complex Jacobians too the transpose is not conjugated.

        Args:
            side: "out" or "in".
            out_sharding: how the dense array would lie on a mesh, as in `dense`; each stored factor
                is split along the labels that it carries.

        Raises:
            LayoutError: another side, or an `out_sharding` that does not fit.

        Example:
            >>> import jax.numpy as jnp, layouts
            >>> W, X = jnp.ones((4, 3)), jnp.ones((3, 5))
            >>> J = layouts.jacobian(lambda W, X: W @ X, structured=True)(W, X)
            >>> J.gram("in").kronecker(), J.gram("in").nbytes == 9 * X.dtype.itemsize
            ('I₄ ⊗ A', True)
        """
        if side not in ("out", "in"):
            raise LayoutError("gram side", "'out' or 'in'", repr(side), "J.gram('out') is J Jᵀ")
        one, other = (self, self.T) if side == "out" else (self.T, self)
        return one._composed(other, out_sharding)

    def as_linear_operator(self, tags: Any = ()) -> Any:
        """The Jacobian as a `lineax.FunctionLinearOperator`, which solvers apply but never write.

        Args:
            tags: what lineax may rely on and does not check, such as
                `lineax.positive_semidefinite_tag` for `J.gram("in")`.

        Raises:
            ImportError: lineax is not installed; it comes with the extra `operators`.

        Example:
            >>> import jax.numpy as jnp, layouts, lineax
            >>> J = layouts.jacobian(lambda x: x**3, structured=True)(jnp.array([1.0, 2.0]))
            >>> operator = J.as_linear_operator()
            >>> lineax.linear_solve(operator, jnp.array([3.0, 12.0])).value.tolist()
            [1.0, 1.0]
        """
        try:
            lineax = importlib.import_module("lineax")
        except ImportError as error:
            raise ImportError(
                "J.as_linear_operator() needs lineax: install it with pip install "
                "'layouts[operators]'"
            ) from error
        structure = jax.ShapeDtypeStruct(self.in_shape, self.dtype)
        return lineax.FunctionLinearOperator(self.jvp, structure, tags)

    def html(self) -> str:
        """Its terms, its shape in each layout and a heat map, as HTML; what notebooks show."""
        from layouts.portrait import jacobian_html  # few programs draw

        return jacobian_html(self)

    def _apply(
        self,
        terms: Terms,
        vector: jax.Array,
        into: Shape,
        out: Shape,
        what: str,
        out_sharding: Any,
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
        own = rows_and_columns(lifted(terms, self.arrays), len(out), None, 0, 0)
        pushing = replace(self, dtype=kept)
        return pushing._dense_of(pushed, out, (vector,), out_sharding, own=own)

    def _sum(self, other: "Jacobian", sign: int, what: str) -> "Jacobian":
        if (self.out_shape, self.in_shape) != (other.out_shape, other.in_shape):
            raise LayoutError(
                what,
                f"K with the output shape {self.out_shape} and the input shape {self.in_shape}",
                f"output shape {other.out_shape} and input shape {other.in_shape}",
                "add Jacobians of functions of one input and one output shape",
            )
        others = algebra.scale(shifted(other.terms, len(self.arrays)), sign)
        dtype = jnp.promote_types(self.dtype, other.dtype)
        return _stored(
            algebra.combine(self.terms + others),
            self._arrays_in(dtype) + other._arrays_in(dtype),
            self.out_shape,
            self.in_shape,
            dtype,
            self.names,
        )


def _is_plain(number: Any) -> TypeGuard[complex]:
    """Whether a number is Python's own; NumPy's have a dtype, as arrays have."""
    return isinstance(number, int | float | complex) and not isinstance(number, np.generic)


def _check_operand(symbol: str, other: Any, remedy: str) -> None:
    if not isinstance(other, Jacobian):
        received = type(other).__name__
        raise LayoutError(f"right operand of {symbol}", "a layouts.Jacobian", received, remedy)


def _stored(
    terms: Terms,
    residuals: Sequence[jax.Array],
    out_shape: Shape,
    in_shape: Shape,
    dtype: Any,
    names: Names,
    sharding: Sharded = None,
) -> Jacobian:
    """Evaluate the factors of symbolic terms and keep them."""
    wanted = [(terms, out_shape, in_shape, dtype, names)]
    (jacobian,) = store(wanted, residuals, [sharding])
    return jacobian


def store(
    wanted: Sequence[tuple[Terms, Shape, Shape, Any, Names]],
    residuals: Sequence[jax.Array],
    shardings: Sequence[Sharded] | None = None,
) -> list[Jacobian]:
    """Evaluate the factors of several symbolic Jacobians in one program and keep them.

    Args:
        wanted: for each its terms, output shape, input shape, dtype and names.
        residuals: the array for each leaf of the terms' programs.
        shardings: how each would lie on a mesh if it were dense.
    """
    found = settled([terms for terms, *_ in wanted], residuals, shardings)
    return [
        Jacobian(terms, arrays, *rest)
        for (terms, arrays), (_, *rest) in zip(found, wanted, strict=True)
    ]
