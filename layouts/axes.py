"""Labels and axes: the index notation that every Jacobian is written in.

A label is a summation index such as the `i` of `δ[i,k]`: it has a size and is known by its
identity alone. An axis of an array is a tuple of labels read as the digits of a mixed-radix number,
most significant first, so that a reshape only regroups labels: the axis `(a, b)` of size 6 is
the two axes `(a,)` and `(b,)` of sizes 2 and 3. An axis of size one carries no label at all, `()`.
"""

from collections.abc import Iterable, Sequence
from math import prod


class Label:
    """An index with a size; two labels are the same only when they are the same object.

    Example:
        >>> i, k = Label(4), Label(4)
        >>> i.size, i == k
        (4, False)
    """

    __slots__ = ("size",)

    def __init__(self, size: int):
        """Make a new label, different from every other, that runs over `range(size)`."""
        self.size = size

    def __repr__(self) -> str:
        return f"<{id(self) % 997}:{self.size}>"


Axis = tuple[Label, ...]
Axes = tuple[Axis, ...]


def fresh_axes(shape: Sequence[int]) -> Axes:
    """Give each axis of `shape` a label of its own; axes of size one get none.

    Example:
        >>> [[label.size for label in axis] for axis in fresh_axes((4, 1, 3))]
        [[4], [], [3]]
    """
    return tuple((Label(size),) if size != 1 else () for size in shape)


def labels_of(axes: Iterable[Axis]) -> tuple[Label, ...]:
    """List the labels of all axes in the order in which they are written."""
    return tuple([label for axis in axes for label in axis])


def sizes(labels: Iterable[Label]) -> tuple[int, ...]:
    """List the sizes of the labels: the shape of an array that carries them."""
    return tuple([label.size for label in labels])


def size(labels: Iterable[Label]) -> int:
    """Count the entries of an array that carries the labels."""
    return prod([label.size for label in labels])


class Unifier:
    """Makes axes equal: says which labels are one, and which split into digits to fit others.

    Two axes that meet (the input of one Jacobian, the output of another) must run over the same
    index. Where their digits differ in size the larger splits, `6 → (2, 3)`; where no common
    digits exist (3·2 against 2·3) the axes do not unify.

    Example:
        >>> six, two, three = Label(6), Label(2), Label(3)
        >>> meet = Unifier()
        >>> meet.unify((six,), (two, three))
        True
        >>> meet.resolve((six,)) == (two, three)
        True
        >>> Unifier().unify((Label(3), Label(2)), (Label(2), Label(3)))
        False
    """

    __slots__ = ("bound",)

    def __init__(self) -> None:
        """Start with every label standing for itself."""
        self.bound: dict[Label, Axis] = {}

    def resolve(self, axis: Iterable[Label]) -> Axis:
        """Write an axis in the digits found so far."""
        digits: list[Label] = []
        for label in axis:
            if label in self.bound:
                digits.extend(self.resolve(self.bound[label]))
            else:
                digits.append(label)
        return tuple(digits)

    def unify(self, left: Axis, right: Axis) -> bool:
        """Make two axes of equal size one; False where their digits have no common refinement."""
        left_digits, right_digits = list(self.resolve(left)), list(self.resolve(right))
        while left_digits and right_digits:
            a, b = self._pop(left_digits), self._pop(right_digits)
            if a is b:
                continue
            if a.size == 1 or b.size == 1:  # stands for itself: a selection may point from it
                left_digits += [a] * (a.size > 1)
                right_digits += [b] * (b.size > 1)
                continue
            if a.size < b.size:
                a, b = b, a
                left_digits, right_digits = right_digits, left_digits
            if a.size == b.size:
                self.bound[a] = (b,)
            elif a.size % b.size == 0:
                high = Label(a.size // b.size)
                self.bound[a] = (high, b)
                left_digits.append(high)
            else:
                return False
        return all(label.size == 1 for label in left_digits + right_digits)

    def _pop(self, digits: list[Label]) -> Label:
        """Take the least significant digit, as it stands after earlier unions."""
        *rest, last = self.resolve((digits.pop(),))
        digits.extend(rest)
        return last


def regroup(axes: Axes, shape: Sequence[int]) -> tuple[Axes, Axes] | None:
    """Split the axes so that the same labels, regrouped, are the axes of `shape`.

    Args:
        axes: the axes before the reshape.
        shape: the shape after it, of the same size.

    Returns:
        The axes before and after, both in the common digits; None where there are none,
        as for `(3, 2) → (2, 3)`.

    Example:
        >>> before, after = regroup(fresh_axes((4, 3)), (12,))
        >>> after == (before[0] + before[1],)
        True
    """
    target = fresh_axes(shape)
    meet = Unifier()
    if not meet.unify(labels_of(axes), labels_of(target)):
        return None
    return tuple(map(meet.resolve, axes)), tuple(map(meet.resolve, target))
