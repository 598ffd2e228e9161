"""A Jacobian as HTML: its formula, its terms, its shape in each layout, a heat map of its matrix.

It may be asked for at any time, so that it never raises: under a trace, after a factor was donated,
for a batch of Jacobians it shows what is known and says what is not.
"""

from collections.abc import Iterator
from dataclasses import replace
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from layouts.conventions.cells import Form, Layout
from layouts.conventions.convention import Convention
from layouts.entries import Entries
from layouts.formulas.summands import written
from layouts.nodes import Leaf
from layouts.show.heatmap import MOST_CELLS, heatmap
from layouts.show.html import Markup, code, formula, fragment, section, table, tag, times
from layouts.show.mathml import mathml
from layouts.show.terms import Spelling, factor_names, terms_formula
from layouts.show.text import text as text_of
from layouts.sparsity import pattern, pieces
from layouts.storing import is_known, with_numbers

# A matrix of more entries is not written out for a picture.
MOST_ENTRIES = 250_000
# A table of more places is not read.
MOST_PLACES = 4_000_000
MOST_CHARACTERS = 2_000
MOST_TERMS = 24


def jacobian_html(J: Entries) -> str:
    """All there is to see of a Jacobian, as a fragment of HTML.

    Args:
        J: a `layouts.Jacobian`, also one that holds tracers, deleted arrays or none at all.

    Returns:
        HTML without a script that fetches nothing.

    Example:
        >>> import jax.numpy as jnp
        >>> from layouts.transforms import jacobian
        >>> J = jacobian(lambda x: x[1:] - x[:-1], structured=True)(jnp.ones(3))
        >>> "zero by structure" in jacobian_html(J)
        True
    """
    safe = replace(J, arrays=tuple(map(_readable, J.arrays)))
    return fragment(
        *_formula(safe),
        tag("p", _summary(J)),
        section("Terms", *_terms(safe)),
        section("Layouts", _layouts(safe)),
        section("Matrix", *_matrix(J)),
    )


def _formula(J: Entries) -> Iterator[Markup]:
    """The formula as on paper and as the text of `str`; the text alone where it is long."""
    text = str(J)
    if len(text) > MOST_CHARACTERS:
        yield formula(f"{text[:MOST_CHARACTERS]} … (cut)")
        return
    terms = tuple(with_numbers(term, J.arrays) for term in J.terms)
    equation = terms_formula(terms, J.names.out, J.names.into)
    yield tag("style", Markup(".layouts .formula math{math-style:normal;font-size:1.2em}"))
    yield tag("div", Markup(mathml(equation, "inline")), class_="formula")
    yield tag("p", code(text), class_="muted")


def _readable(array: Any) -> Any:
    """The array, or what is known of it where its numbers are gone."""
    if not isinstance(array, jax.Array) or isinstance(array, jax.core.Tracer) or is_known(array):
        return array
    return jax.ShapeDtypeStruct(array.shape, array.dtype)


def _summary(J: Entries) -> str:
    """Its shapes and what it stores."""
    names, dtype = J.names, np.dtype(J.dtype)
    text = f"{names.out} {times(J.out_shape)} by {names.into} {times(J.in_shape)}, {dtype.name}; "
    dense = prod(J.shape) * dtype.itemsize
    try:
        stored = f"{J.nbytes:,} bytes stored"
    except (AttributeError, TypeError):  # a tree map may have put anything in the factors' place
        stored = "no arrays stored"
    return f"{text}{stored}, {dense:,} bytes dense"


def _terms(J: Entries) -> list[Markup]:
    """A row a term: how it reads, and the arrays in it."""
    terms = tuple(with_numbers(term, J.arrays) for term in J.terms)
    if not terms:
        return [tag("p", "none: it is zero")]
    names = factor_names(terms, (J.names.out, J.names.into))
    rows = []
    summands = Spelling(terms, names).summands
    for term, summand in list(zip(terms, summands, strict=True))[:MOST_TERMS]:
        nodes = [factor.node for factor in term.factors]
        nodes += [s.table for s in term.selections if s.table is not None]
        arrays = [_array_text(names, node, J) for node in nodes if isinstance(node, Leaf)]
        rows.append([code(text_of(written([summand]))), ", ".join(dict.fromkeys(arrays)) or "none"])
    found = [table(["term", "arrays"], rows)]
    if len(terms) > MOST_TERMS:
        found.append(tag("p", f"… and {len(terms) - MOST_TERMS:,} terms more", class_="muted"))
    return found


def _array_text(names: dict[int, str], node: Leaf, J: Entries) -> str:
    dtype = getattr(J.arrays[node.index], "dtype", "")
    return f"{names[node.index]} {times(node.shape)} {dtype}".rstrip()


def _layouts(J: Entries) -> Markup:
    """A row a layout: the shape, and the matrix as Kronecker products in both vec orders."""
    sides = {Form.MATRIX: Layout.NUMERATOR, Form.MATRIX_TRANSPOSED: Layout.DENOMINATOR}
    rows = []
    for layout in Layout:
        convention = Convention(layout)
        side = sides.get(convention.form(J.out_shape, J.in_shape))
        products = [J.kronecker(side, vec) if side else None for vec in ("rows", "columns")]
        cells = [code(text) if text else "—" for text in products]
        rows.append([str(layout), times(convention.shape(J.out_shape, J.in_shape)), *cells])
    rows.append(["JAX", times(J.shape), "", ""])
    return table(["layout", "shape", "stacked by rows", "stacked by columns"], rows)


def _matrix(J: Entries) -> Iterator[Markup]:
    """The heat map of the matrix, or of its structure where the values cannot be had."""
    names, rows, columns = J.names, J.out_shape, J.in_shape
    values = _values(J)
    text = (
        f"numerator layout, stacked by rows; rows: {names.out} ({prod(rows):,}), "
        f"columns: {names.into} ({prod(columns):,})"
    )
    yield tag("p", text, class_="muted")
    tables, missing = _tables(J)
    if isinstance(values, str):
        yield tag("p", values, class_="alarm")
        yield from _not_finite(J)
    if missing:
        yield tag("p", "lookups whose places are not known count as reaching everywhere")
    if prod(J.shape) > MOST_ENTRIES:
        rows, columns = pieces(J.terms, rows, columns, MOST_CELLS)
        cut = f"{times(J.out_shape)} is cut into {times(rows)} pieces, {times(J.in_shape)} into "
        cut += f"{times(columns)}; a piece is drawn where the structure lets any entry be nonzero"
        yield tag("p", cut, class_="muted")
    structure = pattern(J.terms, tables, rows, columns).reshape(prod(rows), prod(columns))
    yield heatmap(None if isinstance(values, str) else values, structure, rows, columns)


def _values(J: Entries) -> np.ndarray | str:
    """The matrix, or why there is none."""
    if any(isinstance(array, jax.core.Tracer) for array in J.arrays):
        return "the values are not known while JAX traces; the structure is drawn alone"
    if any(not isinstance(_readable(array), jax.Array | np.ndarray) for array in J.arrays):
        return "the values are not here: a factor was deleted, donated, or is no array of this host"
    if prod(J.shape) > MOST_ENTRIES:
        return (
            f"{prod(J.shape):,} entries are more than the {MOST_ENTRIES:,} that a picture is made "
            "of: their values are left out and the structure is drawn alone"
        )
    try:
        with jax.ensure_compile_time_eval(), jax.debug_nans(False), jax.debug_infs(False):
            return np.asarray(jax.device_get(J.matrix()))
    except Exception as error:  # a display says what is wrong, it does not add to it
        return f"the values could not be had: {error}"


def _not_finite(J: Entries) -> Iterator[Markup]:
    """What is not finite among the stored numbers, for a picture that shows no values."""
    names = factor_names(J.terms, (J.names.out, J.names.into))
    for index, name in names.items():
        array = _readable(J.arrays[index])
        real = isinstance(array, jax.Array | np.ndarray) and not isinstance(array, jax.core.Tracer)
        if not real or not jnp.issubdtype(array.dtype, jnp.inexact):
            continue
        with jax.ensure_compile_time_eval(), jax.debug_nans(False), jax.debug_infs(False):
            counts = {"NaN": int(jnp.isnan(array).sum()), "infinite": int(jnp.isinf(array).sum())}
        said = [f"{count:,} {what}" for what, count in counts.items() if count]
        if said:
            text = f"{name}: {', '.join(said)} among {array.size:,} stored numbers"
            yield tag("p", text, class_="alarm")


def _tables(J: Entries) -> tuple[dict[int, np.ndarray], bool]:
    """The places that lookups list, by leaf, and whether some are not known."""
    found, missing = {}, False
    for node in (s.table for term in J.terms for s in term.selections if s.table is not None):
        assert isinstance(node, Leaf)
        array = _readable(J.arrays[node.index])
        known = isinstance(array, jax.Array | np.ndarray) and array.shape == node.shape
        if known and not isinstance(array, jax.core.Tracer) and node.size <= MOST_PLACES:
            found[node.index] = np.asarray(jax.device_get(array))
        else:
            missing = True
    return found, missing
