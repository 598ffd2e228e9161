"""On the way back, sums over other axes than those that entries were repeated along.

A statistic, such as a mean or a norm, is spread over an array, so its cotangent is a sum. Who takes
that sum over another axis writes it as on paper: what cancels has been left out, and divisors that
the sum does not run over stand before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import jax.numpy as jnp
import numpy as np

from layouts.doctor.labels import REDUCTIONS
from layouts.doctor.listing import Step
from layouts.doctor.named import Named, product, summed, together
from layouts.doctor.replay import Replay
from layouts.doctor.rewrites import NoFit
from layouts.doctor.slopes import VALUES, slope

# Terms of one cotangent that are kept apart.
MOST_TERMS = 6
# A term below this, relative to the cotangent, is one that cancels.
NOTHING = 1e-9


@dataclass(frozen=True)
class Term:
    """A term of a cotangent.

    Attributes:
        true: what it is.
        inner: what it is with the mistake, but for its outer factors.
        outer: factors that later sums need not run over.
    """

    true: Named
    inner: Named
    outer: tuple[Named, ...] = ()

    def whole(self) -> Named:
        """What it is with the mistake."""
        found = self.inner
        for factor in self.outer:
            found = together(np.multiply, found, factor)
        return found


class Swap:
    """The pull-back with sums over some axes replaced by sums over others.

    Args:
        replay: the function at an input.
        sums: for axes the others, and a factor.
    """

    def __init__(self, replay: Replay, sums: Mapping[frozenset[int], tuple[frozenset[int], float]]):
        """Nothing is computed before it is asked for."""
        self.replay, self.sums = replay, sums
        self.tape, self.labels = replay.tape, replay.labels

    def gradient(self, leaf: int) -> Named | None:
        """What arrives at an input."""
        output = self.tape.listing.output
        if output is None:
            return None
        start = self.labels.named(output, self.tape.cotangent)
        found: dict[int, list[Term]] = {output: [Term(start, start)]}
        self.wanted = self.tape.descendants(leaf)
        for number in reversed(range(len(self.replay.steps))):
            step = self.replay.steps[number]
            given = [found.pop(n, []) for n in step.results]
            if not any(given):
                continue
            places = [n for n in self.tape.places(step) if step.operands[n] in self.wanted]
            if number in self.labels.whole:
                self._whole(number, step, given, places, found)
                continue
            for place in places:
                variable = step.operands[place]
                assert variable is not None
                terms = [self._back(number, step, place, term) for term in given[0]]
                known = found.get(variable, [])
                found[variable] = _few([*known, *self._that_count(known, terms)])
        if leaf not in found:
            return None
        return _total(found[leaf], lambda term: term.whole())

    def _that_count(self, known: list[Term], terms: list[Term]) -> list[Term]:
        """Terms but for those that cancel."""
        sizes = [_size(term.true) for term in terms]
        least = NOTHING * max([*sizes, *(_size(term.true) for term in known)], default=0)
        scale = NOTHING * _size(self.labels.named(self.tape.listing.output, self.tape.cotangent))  # type: ignore[arg-type]
        least = max(least, 1e-3 * scale)
        return [t for t, size in zip(terms, sizes, strict=True) if size > least]

    def _back(self, number: int, step: Step, place: int, term: Term) -> Term:
        """A term passed on by one step."""
        own = self.replay.own
        if step.name == "dot_general":
            variable = step.operands[1 - place]
            if variable is None:
                raise NoFit
            other, span = own(variable), self.labels.names(step.operands[place])  # type: ignore[arg-type]
            met = (self.labels.names(step.results[0]) | other.span) - span
            sizes = self.labels.sizes
            return Term(
                product(term.true, other, met, sizes), product(term.whole(), other, met, sizes)
            )
        if step.name in REDUCTIONS:
            return self._reduced(step, term)
        if step.name in VALUES:
            for factor in self._factors(step, place):
                # What multiplies or divides is a statistic if it is made of the input itself.
                sources = step.operands
                if step.name in ("mul", "div"):
                    sources = (step.operands[1 - place if step.name == "mul" else 1],)
                depends = any(v in self.wanted for v in sources)
                term = self._times(term, factor, depends)
        return self._added(step, place, term)

    def _reduced(self, step: Step, term: Term) -> Term:
        names = self.replay.met(step)
        if step.name != "reduce_sum":
            raise NoFit
        true = Named(term.true.array, term.true.axes, term.true.span | names)
        inner = Named(term.inner.array, term.inner.axes, term.inner.span | names)
        return Term(true, inner, term.outer)

    def _times(self, term: Term, factor: Named, depends: bool) -> Term:
        """A factor stands before the sums that do not run over it, if it is a statistic."""
        true = together(np.multiply, term.true, factor)
        running = any(names & {*factor.axes} for names in self.sums)
        if running or not factor.array.ndim or not depends:
            return Term(true, together(np.multiply, term.inner, factor), term.outer)
        return replace(term, true=true, outer=(*term.outer, factor))

    def _factors(self, step: Step, place: int) -> list[Named]:
        """The slope of a step, as factors: `x / y` by `y` is the quotient times `-1 / y`."""
        operands = [self._operand(step, n) for n in range(len(step.operands))]
        value = self.replay.own(step.results[0])
        if step.name == "div" and place == 1:
            return [value, together(lambda y: -1 / y, operands[1])]
        if step.name == "mul":
            return [operands[1 - place]]
        if step.name == "div":
            return [together(lambda y: 1 / y, operands[1])]

        def of_arrays(value: np.ndarray, *arrays: np.ndarray) -> np.ndarray:
            return np.asarray(slope(step.name, step.params, place, value, arrays))

        found = together(of_arrays, value, *operands)
        return [
            found if found.array.ndim == len(found.axes) else Named(found.array, (), found.span)
        ]

    def _operand(self, step: Step, place: int) -> Named:
        variable = step.operands[place]
        if variable is not None:
            return self.replay.own(variable)
        array = np.asarray(step.constants[place])
        if array.size != 1:
            raise NoFit
        return Named(array.reshape(()), (), frozenset())

    def _added(self, step: Step, place: int, term: Term) -> Term:
        """The cotangents of an operand's copies, added, over the other axes."""
        variable = step.operands[place]
        assert variable is not None
        names = self.labels.names(step.results[0]) - self.labels.names(variable)
        if not names:
            return term
        sizes = self.labels.sizes
        others, factor = self.sums.get(names, (names, 1.0))
        inner, outer = term.inner, []
        for constant in term.outer:
            if names & {*constant.axes}:
                inner = together(np.multiply, inner, constant)
            else:
                outer.append(constant)
        inner = summed(inner, others, sizes)
        inner = Named(inner.array * factor, inner.axes, inner.span)
        return Term(summed(term.true, names, sizes), inner, tuple(outer))

    def _whole(self, number: int, step: Step, given: list, places: list[int], found: dict) -> None:
        """A step that is taken whole takes whole cotangents."""
        pull = self.tape.pulls[number]
        if pull is None or len(step.results) != 1:
            raise NoFit
        result = step.results[0]
        both = []
        for take in (lambda term: term.true, lambda term: term.whole()):
            plain = self.labels.plain(result, _total(given[0], take))
            if plain is None:
                raise NoFit
            like = self.tape.values[result]
            pulled = dict(
                zip(self.tape.places(step), pull([jnp.asarray(plain, like.dtype)]), strict=True)
            )
            both.append(pulled)
        for place in places:
            variable = step.operands[place]
            assert variable is not None
            true, edited = (self.labels.named(variable, pulled[place]) for pulled in both)
            found[variable] = _few([*found.get(variable, []), Term(true, edited)])


def _total(terms: list[Term], take: object) -> Named:
    total = take(terms[0])  # type: ignore[operator]
    for term in terms[1:]:
        total = together(np.add, total, take(term))  # type: ignore[operator]
    return total


def _few(terms: list[Term]) -> list[Term]:
    """The same terms, added where there are too many."""
    if len(terms) <= MOST_TERMS:
        return terms
    whole = _total(terms, lambda term: term.whole())
    return [Term(_total(terms, lambda term: term.true), whole)]


def _size(named: Named) -> float:
    return float(np.abs(named.array).max(initial=0))
