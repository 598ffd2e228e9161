"""In which order to multiply a chain of matrices: the pure question, in integers.

A function of p stages has the Jacobian `Jp ... J2 J1`. Its sizes `dims = (n0, n1, ..., np)` are
listed from the input to the output, so factor `Jk` is n_k × n_{k-1}. Every bracketing gives the
same product at another price. **Forward** accumulation starts at the input, `J3 (J2 J1)`;
**reverse** starts at the output, `(J3 J2) J1`; the cheapest bracketing may be neither.

One multiplication is one scalar product of two numbers: an m×k by k×n product costs m·k·n.
(opt_einsum counts the same product as 2·m·k·n, the additions included.)
"""

from __future__ import annotations

import math
import operator
import reprlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from layouts.errors import LayoutError

# The dynamic programme takes p³/6 steps and a tree is up to p deep.
MAX_FACTORS = 200
# Twelve factors have 58,786 bracketings; each further factor has nearly four times as many.
MAX_ENUMERATED = 12


@dataclass(frozen=True)
class Bracketing:
    """One way to multiply the factors `J_last ... J_first`: a binary tree.

    Attributes:
        dims: sizes from the input's side to the output's; the product is dims[-1] × dims[0].
        first: number of the factor nearest the input. A single factor is a leaf.
        left: the part nearest the output, written on the left; None in a leaf.
        right: the part nearest the input, written on the right; None in a leaf.
        multiplications: scalar multiplications that the whole tree costs.

    Raises:
        LayoutError: if the sizes are no chain, or the two parts do not make up the whole.

    Example:
        J1 is 3×2, J2 is 4×3, J3 is 5×4. Forward multiplies `J2 J1` (4·3·2 = 24) and then `J3`
        by that (5·4·2 = 40):

        >>> tree = forward((2, 3, 4, 5))
        >>> str(tree), tree.multiplications
        ('J3 (J2 J1)', 64)
    """

    dims: tuple[int, ...]
    first: int = 1
    left: Bracketing | None = None
    right: Bracketing | None = None
    multiplications: int = field(init=False, compare=False)

    def __post_init__(self):
        """Hold the tree to its invariants and count its cost from its parts'."""
        object.__setattr__(self, "dims", _checked(self.dims))
        left, right = self.left, self.right
        if left is None or right is None:
            sound, cost = left is right and len(self.dims) == 2, 0
        else:
            met = left.first == right.last + 1 and left.dims[0] == right.dims[-1]
            sound = met and (right.first, right.dims + left.dims[1:]) == (self.first, self.dims)
            cost = self.rows * left.columns * self.columns
            cost += left.multiplications + right.multiplications
        if not sound:
            raise LayoutError(
                f"bracketing of {self.dims}",
                "a single factor, or two neighbouring parts that make up the whole",
                f"left={left}, right={right}",
                "build it by forward, reverse, optimal or bracketings",
            )
        object.__setattr__(self, "multiplications", cost)

    @property
    def last(self) -> int:
        """Number of the factor nearest the output."""
        return self.first + len(self.dims) - 2

    @property
    def rows(self) -> int:
        """Rows of the product: its output size."""
        return self.dims[-1]

    @property
    def columns(self) -> int:
        """Columns of the product: its input size."""
        return self.dims[0]

    def multiply(
        self, factors: Sequence[Any], product: Callable[[Any, Any], Any] = operator.matmul
    ) -> Any:
        """Multiply real matrices in this order.

        Args:
            factors: the matrices as they are written, output first: `[J3, J2, J1]`.
            product: how two of them are multiplied.

        Returns:
            Their product.

        Raises:
            LayoutError: if there are not as many matrices as the tree has factors.

        Example:
            >>> reverse((1, 1, 1, 1)).multiply(["C", "B", "A"], lambda a, b: f"({a}{b})")
            '((CB)A)'
        """
        size = len(self.dims) - 1
        if len(factors) != size:
            raise LayoutError(
                f"factors of {self}",
                f"{size} matrices",
                f"{len(factors)}",
                "pass one matrix for each factor, output first",
            )
        if self.left is None or self.right is None:
            return factors[0]
        cut = len(self.left.dims) - 1
        return product(
            self.left.multiply(factors[:cut], product), self.right.multiply(factors[cut:], product)
        )

    def diagram(self) -> str:
        """Draw the tree, with the price of each product.

        Example:
            >>> print(forward((2, 3, 4, 5)).diagram())
            J3 J2 J1: 5×4×2 = 40
            ├── J3: 5×4
            └── J2 J1: 4×3×2 = 24
                ├── J2: 4×3
                └── J1: 3×2
        """
        name = " ".join(f"J{k}" for k in range(self.last, self.first - 1, -1))
        if self.left is None or self.right is None:
            return f"{name}: {self.rows}×{self.columns}"
        inner = self.left.columns
        price = self.rows * inner * self.columns
        head = f"{name}: {self.rows}×{inner}×{self.columns} = {price}"
        upper = self.left.diagram().replace("\n", "\n│   ")
        lower = self.right.diagram().replace("\n", "\n    ")
        return f"{head}\n├── {upper}\n└── {lower}"

    def __str__(self) -> str:
        """The product as it is written, output first: `J3 (J2 J1)`."""
        if self.left is None or self.right is None:
            return f"J{self.first}"
        parts = (
            str(part) if part.left is None else f"({part})" for part in (self.left, self.right)
        )
        return " ".join(parts)


def forward(dims: Sequence[int]) -> Bracketing:
    """Accumulate from the input: `J3 (J2 J1)`, at Σ n_k · n_{k-1} · n_0 for k = 2..p.

    Args:
        dims: the sizes (n0, ..., np), input first.

    Returns:
        The tree.

    Raises:
        LayoutError: if `dims` is no chain of positive sizes.

    Example:
        >>> str(forward((2, 3, 4, 5))), forward((2, 3, 4, 5)).multiplications
        ('J3 (J2 J1)', 64)
    """
    return _build(dims, lambda j, i: j - 1)


def reverse(dims: Sequence[int]) -> Bracketing:
    """Accumulate from the output: `(J3 J2) J1`, at Σ n_p · n_k · n_{k-1} for k = 1..p-1.

    Args:
        dims: the sizes (n0, ..., np), input first.

    Returns:
        The tree.

    Raises:
        LayoutError: if `dims` is no chain of positive sizes.

    Example:
        >>> str(reverse((2, 3, 4, 5))), reverse((2, 3, 4, 5)).multiplications
        ('(J3 J2) J1', 90)
    """
    return _build(dims, lambda j, i: i)


def optimal(dims: Sequence[int]) -> Bracketing:
    """Find the cheapest bracketing, exactly, by dynamic programming over intervals.

    `C(j,i) = min over k of C(j,k+1) + C(k,i) + n_j · n_k · n_{i-1}` is the least cost of
    `Jj ... Ji`, and C(i,i) = 0 (Griewank and Naumann 2003, on chained Jacobians; the matrix-chain
    problem of Cormen et al.). Among equally cheap cuts the one nearest the input is taken. Time
    grows as p³.

    Args:
        dims: the sizes (n0, ..., np), input first.

    Returns:
        A tree that attains the optimum.

    Raises:
        LayoutError: if `dims` is no chain of positive sizes, or has more than 200 factors.

    Example:
        A bottleneck of width 1: both ends are multiplied up to it, neither order does that.

        >>> tree = optimal((9, 8, 1, 8, 9))
        >>> str(tree), tree.multiplications
        ('(J4 J3) (J2 J1)', 225)
        >>> forward((9, 8, 1, 8, 9)).multiplications, reverse((9, 8, 1, 8, 9)).multiplications
        (792, 792)
    """
    sizes = _checked(dims)
    p = len(sizes) - 1
    cost = {(i, i): 0 for i in range(1, p + 1)}
    cut: dict[tuple[int, int], int] = {}
    for span in range(1, p):
        for i in range(1, p + 1 - span):
            j = i + span
            outer = sizes[j] * sizes[i - 1]
            cost[j, i], cut[j, i] = min(
                (cost[j, k + 1] + cost[k, i] + outer * sizes[k], k) for k in range(i, j)
            )
    return _build(sizes, lambda j, i: cut[j, i])


ORDERS: dict[str, Callable[[Sequence[int]], Bracketing]] = {
    "forward": forward,
    "reverse": reverse,
    "optimal": optimal,
}


def bracketings(dims: Sequence[int]) -> tuple[Bracketing, ...]:
    """List every bracketing of a chain: Catalan(p-1) of them for p factors.

    Args:
        dims: the sizes (n0, ..., np), input first; at most 12 factors.

    Returns:
        All trees, each with its `.multiplications`, from forward to reverse.

    Raises:
        LayoutError: if `dims` is no chain of positive sizes, or has too many factors to list.

    Example:
        >>> for tree in bracketings((2, 3, 4, 5)):
        ...     print(tree, tree.multiplications)
        J3 (J2 J1) 64
        (J3 J2) J1 90
    """
    factors = _factors(dims)
    p = len(factors)
    if p > MAX_ENUMERATED:
        count = math.comb(2 * p - 2, p - 1) // p
        raise LayoutError(
            "bracketings of a chain",
            f"at most {MAX_ENUMERATED} factors",
            f"{p} factors, which have {count:,} bracketings",
            "ask optimal(dims) for the cheapest, which needs no list",
        )
    trees: dict[tuple[int, int], tuple[Bracketing, ...]] = {
        (i, i): (factor,) for i, factor in enumerate(factors)
    }
    for span in range(1, p):
        for i in range(p - span):
            j = i + span
            trees[j, i] = tuple(
                _join(left, right)
                for k in reversed(range(i, j))
                for right in trees[k, i]
                for left in trees[j, k + 1]
            )
    return trees[p - 1, 0]


def multiplications(dims: Sequence[int], order: str | Bracketing = "optimal") -> int:
    """Count the scalar multiplications of a chain of matrices in one order.

    Args:
        dims: the sizes (n0, ..., np), input first; factor Jk is n_k × n_{k-1}.
        order: "forward", "reverse", "optimal", or a tree of exactly these sizes.

    Returns:
        The count, exact; an m×k by k×n product is m·k·n.

    Raises:
        LayoutError: if `dims` is no chain, `order` is none, or the tree has other sizes.

    Example:
        Fewer inputs (2) than outputs (5), so forward wins:

        >>> [multiplications((2, 3, 4, 5), order) for order in ("forward", "reverse", "optimal")]
        [64, 90, 64]
    """
    sizes = _checked(dims)
    if isinstance(order, Bracketing):
        if order.dims != sizes:
            raise LayoutError(
                f"order {order}",
                f"a tree of sizes {sizes}",
                f"one of sizes {order.dims}",
                "build the tree from the same sizes",
            )
        return order.multiplications
    if not isinstance(order, str) or order not in ORDERS:
        raise LayoutError(
            "order",
            "'forward', 'reverse', 'optimal' or a Bracketing",
            repr(order),
            "pass one of these",
        )
    return ORDERS[order](sizes).multiplications


def _join(left: Bracketing, right: Bracketing) -> Bracketing:
    """The product of two neighbours."""
    return Bracketing(right.dims + left.dims[1:], right.first, left, right)


def _factors(dims: Sequence[int]) -> list[Bracketing]:
    """The leaves J1, ..., Jp of a chain."""
    sizes = _checked(dims)
    return [Bracketing(sizes[k : k + 2], k + 1) for k in range(len(sizes) - 1)]


def _build(dims: Sequence[int], cut: Callable[[int, int], int]) -> Bracketing:
    """The tree that splits `Jj ... Ji` into `Jj ... Jk+1` and `Jk ... Ji` at k = cut(j, i)."""
    factors = _factors(dims)

    def build(j: int, i: int) -> Bracketing:
        if j == i:
            return factors[i - 1]
        k = cut(j, i)
        return _join(build(j, k + 1), build(k, i))

    return build(len(factors), 1)


def _checked(dims: Sequence[int]) -> tuple[int, ...]:
    """The sizes as a tuple of plain integers, if they make up a chain."""
    try:
        given = tuple(dims)
        # A bool is an index too, but as a size it is a slip.
        sizes = () if bool in map(type, given) else tuple(map(operator.index, given))
    except TypeError:
        sizes = ()
    if len(sizes) < 2 or min(sizes) < 1:
        raise LayoutError(
            "sizes of a chain",
            "two or more positive integers (n0, ..., np), input first",
            reprlib.repr(dims),
            "list the input's size, then each factor's output size",
        )
    if len(sizes) > MAX_FACTORS + 1:
        raise LayoutError(
            "sizes of a chain",
            f"at most {MAX_FACTORS} factors",
            f"{len(sizes) - 1}",
            "split the chain, or merge stages",
        )
    return sizes
