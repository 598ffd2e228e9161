"""What it costs: orders of multiplication, counts, measured times."""

from __future__ import annotations

from typing import TypedDict


class Tree(TypedDict):
    """One way to multiply a chain, a binary tree. Products are written output first."""

    name: str
    """`J3 J2 J1`; of a leaf `J2`."""
    rows: int
    columns: int
    inner: int | None
    """The size summed over; None in a leaf."""
    multiplications: int
    """Of this product alone; 0 in a leaf."""
    total: int
    """Of all the tree."""
    text: str
    """With brackets: `J3 (J2 J1)`."""
    left: Tree | None
    """The part nearest the output."""
    right: Tree | None


class Bracketings(TypedDict):
    """A chain of Jacobians in three orders."""

    sizes: list[int]
    """n0, ..., np from the input to the output; Jk is n_k × n_{k-1}."""
    names: list[str]
    """What the factors are, J1 first: `∂z1/∂x`; a step without a name of its own is u1, u2, ...
    `J1` and so on for a chain of sizes alone."""
    forward: Tree
    reverse: Tree
    optimal: Tree
    convention: str
    """What counts as one multiplication."""


class Crossover(TypedDict):
    """Forward and reverse as one size of a chain varies."""

    which: int
    """The place of the size in `sizes`: 0 the input's, -1 the output's."""
    values: list[int]
    """The sizes tried."""
    forward: list[int]
    reverse: list[int]
    optimal: list[int]
    """Multiplications at each."""
    crossing: float | None
    """Where forward and reverse cost the same; None where they never do."""


class Cost(TypedDict):
    """One way to the Jacobian."""

    name: str
    """forward, reverse, planned, jacfwd, jacrev."""
    title: str
    multiplications: int
    additions: int
    peak_bytes: int


class Costs(TypedDict):
    """What it costs; nothing is measured here."""

    ways: list[Cost]
    """Those that exist, in the order above. The first three keep the structure; jacfwd and jacrev
    are JAX's own programs, zeros and all."""
    plan: str
    """The planned order's name, as in `layouts.Plan.name`."""
    tree: str
    """Which Jacobians the plan multiplies, as text."""
    bracketings: Bracketings | None
    """Where the program is a chain: the same chain of dense matrices, the question in its pure
    form. None where it is none."""
    bracketings_note: str
    convention: str
    opaque: list[str]
    """Primitives without structure."""
    stored_bytes: int
    dense_bytes: int


class Measured(TypedDict):
    """One way, as measured."""

    name: str
    title: str
    milliseconds: float
    """The median."""
    ratio: float
    """Against the fastest."""
