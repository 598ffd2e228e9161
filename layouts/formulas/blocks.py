"""Sums of Kronecker products: `I ⊗ A + I ⊗ Aᵀ` is `I ⊗ (A + Aᵀ)`, `I₃ ⊗ I₅` is `I₁₅`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

from layouts.formulas.factors import Atom, Sides, Term, array, times
from layouts.formulas.simplifying import added
from layouts.formulas.tree import Formula, Identity, Number, Product


@dataclass(frozen=True)
class Block:
    """A Kronecker product among other factors.

    Attributes:
        outer: its numbers.
        parts: what is multiplied by ⊗, without numbers.
        left: factors in front of it.
        right: factors behind it.
        swaps: where the input's axes go with the output's crosswise, the commutation matrices to
            the left of the parts in reverse and to the right of the parts, of which one stands.
    """

    outer: Term
    parts: tuple[Term, ...]
    left: tuple[Term, ...] = ()
    right: tuple[Term, ...] = ()
    swaps: tuple[Term, Term] | None = None

    @property
    def all_parts(self) -> tuple[Term, ...]:
        """Every term in it."""
        return (self.outer, *self.left, *self.parts, *self.right)

    @property
    def sides(self) -> Sides:
        """The rows and columns of the Kronecker product."""
        return prod(p.sides[0] for p in self.parts), prod(p.sides[1] for p in self.parts)

    @property
    def term(self) -> Term:
        """As one term."""
        if len(self.parts) == 1 and not self.left and not self.right and not self.swaps:
            return self.parts[0].scaled(self.outer)
        whole = self.outer
        product = _kronecker(self.parts)
        middle = Term() if product == Number(1) else array(product, self.sides)
        crossed = (middle,) if self.swaps is None else (middle, self.swaps[1])
        for part in (*self.left, *crossed, *self.right):
            whole = times(whole, part)
        return whole


def merged(blocks: Sequence[Block]) -> list[Term]:
    """The blocks as terms; those that differ in one part are one, with the sum of these parts."""
    found = list(blocks)
    while True:
        pairs = [(a, b) for b in range(len(found)) for a in range(b)]
        step = next(((a, b, m) for a, b in pairs if (m := _both(found[a], found[b]))), None)
        if step is None:
            break
        place, gone, joined = step
        found[place] = joined
        del found[gone]
    straight = [block.parts for block in found if block.swaps is None]
    return [_uncrossed(block, straight) for block in found]


def _both(one: Block, other: Block) -> Block | None:
    """Two blocks that differ in one part."""
    same = one.outer.key == other.outer.key and one.outer.coefficient == other.outer.coefficient
    ends = [list(map(_key, (b.left, b.right))) for b in (one, other)]
    if not same or ends[0] != ends[1] or one.swaps != other.swaps:
        return None
    if len(one.parts) != len(other.parts) or len(one.parts) < 2:
        return None
    places = [
        n for n, pair in enumerate(zip(one.parts, other.parts, strict=True)) if _differ(*pair)
    ]
    if len(places) != 1:
        return None
    (place,) = places
    pair = (one.parts[place], other.parts[place])
    if pair[0].sides != pair[1].sides or 1 in pair[0].sides:
        return None
    whole = array(added(pair), pair[0].sides)
    parts = (*one.parts[:place], whole, *one.parts[place + 1 :])
    return replace(one, parts=parts)


def _differ(one: Term, other: Term) -> bool:
    return one.key != other.key or one.sides != other.sides


def _key(parts: Sequence[Term]) -> tuple:
    return tuple((part.key, part.sides) for part in parts)


def _uncrossed(block: Block, straight: Sequence[tuple[Term, ...]]) -> Term:
    """With the permutation in front where its parts in reverse are more like another term."""
    alike = [0, 0]
    for place, parts in enumerate((block.parts, block.parts[::-1])):
        for others in straight:
            same = sum(not _differ(*pair) for pair in zip(parts, others, strict=False))
            alike[place] = max(alike[place], same)
    if block.swaps is None or alike[1] <= alike[0]:
        return block.term
    left = (*block.left, block.swaps[0])
    return replace(block, parts=block.parts[::-1], left=left, swaps=None).term


def _kronecker(parts: Sequence[Term]) -> Formula:
    """`A ⊗ B`; two identities are one."""
    found: list[Formula] = []
    for part in parts:
        if part.sides == (1, 1) and not part.factors:
            continue
        if found and isinstance(found[-1], Identity) and _is_identity(part):
            found[-1] = Identity(found[-1].size * part.sides[0])
        else:
            found.append(part.body)
    if not found:
        return Number(1)
    return found[0] if len(found) == 1 else Product("kronecker", tuple(found))


def _is_identity(part: Term) -> bool:
    return (
        len(part.factors) == 1
        and isinstance(part.factors[0], Atom)
        and isinstance(part.factors[0].array, Identity)
    )
