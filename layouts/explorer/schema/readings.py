"""What there is to read: the derivation, the rule, and the graph in both directions."""

from __future__ import annotations

from typing import Literal, TypedDict

from layouts.explorer.schema.words import Formula, LayoutName, Number


class Step(TypedDict):
    """A step of the derivation."""

    kind: str
    title: str
    """The heading that it stands under; equal ones follow each other."""
    formula: Formula
    reason: str
    shape: list[int]
    check: Number | None
    """The largest relative difference from the true value, at random inputs; None where it was
    not checked, as in a `view` that did not ask for `checks`."""
    layout: LayoutName | None
    continued: bool
    """Whether its left side is that of the step before, and need not be said again."""


class Derivation(TypedDict):
    """How the derivative is found by hand."""

    steps: list[Step]
    definitions: list[Formula]
    notes: list[str]
    checked: str
    """One sentence on the check in numbers; "" where there was none."""
    ok: bool
    """Whether all steps that were checked hold."""


class Rule(TypedDict):
    """The VJP rule, and its mirror image."""

    vjp: Formula
    """With matrices where there is such a form, else with indices."""
    vjp_indices: Formula
    jvp: Formula | None
    matrix: bool
    """Whether `vjp` is with matrices."""
    numpy: str | None
    """The rule in the signs of NumPy, `dD @ X.T`, of the inputs and the cotangent alone: what the
    doctor's box can be filled with. None where there is no such form."""
    cotangent: str
    """How it calls the cotangent: `dD`."""


class Vertex(TypedDict):
    """A vertex of the graph: an array of `ViewAnswer.arrays`."""

    id: str
    """`v:z1`. The same in the forward and the backward picture."""
    name: str
    role: Literal["input", "intermediate", "output"]
    layer: int
    """How many steps it is from the inputs: where to draw it, left to right (backward: right to
    left)."""
    on_path: bool
    """Whether it depends on the input differentiated by and leads to the output."""
    uses: int
    """By how many edges it is used; a vertex used more than once is a branch forward."""
    branch: bool
    """Used more than once: forward its value is copied, backward its gradients are summed."""
    value: Formula | None
    """Forward: what it is."""
    gradient: Formula | None
    """Backward: its cotangent as the sum over the edges that leave it, `∂L/∂z = ... + ...`;
    None off the path."""


class Edge(TypedDict):
    """An edge from a vertex to one that is made of it; the same id in both directions."""

    id: str
    """`e:W1→z1`."""
    tail: str
    """The id of the vertex used."""
    head: str
    """The id of the vertex made."""
    on_path: bool
    uses: int
    """How often the one uses the other within this edge: 2 in `M @ M`."""
    local: Formula | None
    """The local Jacobian with indices, `∂z1[u]/∂W1[k,l] = δ[u,k] x[l]`."""
    forward: Formula | None
    """What a tangent does along it, `ż1 ← ...`; None where it has no form."""
    backward: Formula | None
    """What it adds to the gradient of its tail."""


class Graph(TypedDict):
    """The program as people see it: a few named vertices. Both directions are the same graph."""

    vertices: list[Vertex]
    """Inputs first, the output last."""
    edges: list[Edge]
    note: str
