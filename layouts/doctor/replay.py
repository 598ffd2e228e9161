"""A function run again with a step changed, and pulled back: what follows is computed anew."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import jax.numpy as jnp
import numpy as np

from layouts.doctor import plain as whole
from layouts.doctor.labels import REDUCTIONS, Labels
from layouts.doctor.listing import Step
from layouts.doctor.named import Named, greatest, product, summed, together
from layouts.doctor.rewrites import NoFit, Rewrite
from layouts.doctor.slopes import VALUES, slope
from layouts.doctor.tape import Tape, zero

# Steps whose pull-back is the same whatever their operands are.
SAME_EVERYWHERE = ("stack", "pad", "cumsum", "reduce_window_sum", "tile", "split")


class Replay:
    """A tape whose function can be run again with a change, in NumPy.

    Args:
        tape: a run of the function.
    """

    def __init__(self, tape: Tape):
        """Name the axes."""
        self.tape, self.labels = tape, Labels(tape)
        self.steps = tape.listing.steps
        self._own: dict[int, Named] = {}
        self._slopes: dict[tuple[int, int], Any] = {}

    def gradient(self, leaf: int, rewrite: Rewrite) -> np.ndarray | None:
        """The gradient by an input of the changed function; None where it has no sense."""
        try:
            found = _Run(self, rewrite, leaf).gradient()
        except NoFit:
            return None
        if found is None:
            return np.zeros(np.shape(self.tape.values[leaf]))
        plain = self.labels.plain(leaf, found)
        return found.array if plain is None else plain

    def own(self, variable: int) -> Named:
        """The value of a variable in the true run."""
        if variable not in self._own:
            self._own[variable] = self.labels.named(variable, self.tape.values[variable])
        return self._own[variable]

    @cached_property
    def vanishing(self) -> set[int]:
        """Variables whose cotangents cancel: nobody who simplifies passes anything on there."""
        found: dict[int, float] = {}
        for step, before in zip(self.steps, self.tape.before, strict=False):
            for variable in step.results:
                if variable in before:
                    found[variable] = float(np.abs(np.asarray(before[variable])).max(initial=0))
        least = 1e-11 * max(found.values(), default=0)
        return {variable for variable, size in found.items() if size <= least}

    def met(self, step: Step) -> frozenset[int]:
        """The names that a reduction or a product sums over."""
        names = [self.labels.names(v) for v in step.operands if v is not None]
        return frozenset().union(*names) - self.labels.names(step.results[0])

    def size(self, names: frozenset[int]) -> int:
        """How many entries the axes have."""
        return int(np.prod([self.labels.sizes[name] for name in names], initial=1))


class _Run:
    """One changed run."""

    def __init__(self, replay: Replay, rewrite: Rewrite, leaf: int):
        self.replay, self.rewrite, self.leaf = replay, rewrite, leaf
        self.labels, self.tape = replay.labels, replay.tape
        self.values: dict[int, Named] = {}
        for variable, value in rewrite.points.items():
            self.values[variable] = self.labels.named(variable, value(self.tape))
        for variable, names in rewrite.centred.items():
            self.values[variable] = self._centred(replay.own(variable), names)
        for number, step in enumerate(replay.steps):
            kept = rewrite.until | {*rewrite.centred}
            if self._is_changed(number, step) and not kept & {*step.results}:
                self._forward(number, step)

    def value(self, variable: int) -> Named:
        """A variable's value in this run."""
        found = self.values.get(variable)
        return self.replay.own(variable) if found is None else found

    def _is_changed(self, number: int, step: Step) -> bool:
        """Whether a step may give something else than in the true run."""
        rewrite = self.rewrite
        if any(number in edits for edits in (rewrite.over, rewrite.passed, rewrite.names)):
            return True
        return number in rewrite.results or self._is_moved(number, step)

    def _is_moved(self, number: int, step: Step) -> bool:
        """Whether an operand of a step is another than in the true run."""
        if any(variable in self.values for variable in step.operands):
            return True
        return any((number, n) in self.rewrite.operands for n in range(len(step.operands)))

    def operand(self, number: int, step: Step, place: int) -> Named:
        """An operand's value in this run."""
        variable = step.operands[place]
        if variable is not None:
            instead = self.rewrite.operands.get((number, place))
            if instead is not None:
                return self.labels.named(variable, instead(self.tape))
            return self.value(variable)
        array = np.asarray(step.constants[place])
        if not array.ndim or array.size == 1:
            return Named(array.reshape(()), (), frozenset())
        axes = self.labels.axes[step.results[0]]
        if len(axes) != array.ndim:
            raise NoFit
        kept = [(n, a) for n, a in zip(array.shape, axes, strict=True) if n != 1]
        names = tuple(a for _, a in kept if a is not None)
        return Named(array.reshape([n for n, _ in kept]), names, frozenset(names))

    def _forward(self, number: int, step: Step) -> None:
        rewrite = self.rewrite
        if number in rewrite.passed:
            result = self.operand(number, step, rewrite.passed[number])
        elif number in rewrite.results:
            operands = [self.operand(number, step, n) for n in range(len(step.operands))]
            result = together(rewrite.results[number], *operands)
        elif number in self.labels.whole:
            self._forward_whole(number, step)
            return
        elif step.name == "dot_general":
            one, other = self.operand(number, step, 0), self.operand(number, step, 1)
            result = product(one, other, self.replay.met(step), self.labels.sizes)
        elif step.name in REDUCTIONS:
            result = self._reduced(number, step)
        elif step.name in VALUES:
            operands = [self.operand(number, step, n) for n in range(len(step.operands))]
            fun = VALUES[step.name]
            result = together(lambda *arrays: fun(step.params, *arrays), *operands)
        else:
            result = self._spread(number, step)
        result = result.renamed(rewrite.names.get(number, {}))
        if len({*result.axes}) < len(result.axes):
            raise NoFit
        self.values[step.results[0]] = result

    def _centred(self, array: Named, names: frozenset[int]) -> Named:
        """An array less its mean, and so is the cotangent of that."""
        count = self.replay.size(names)
        total = summed(array, names, self.labels.sizes)
        return together(lambda x, t: x - t / count, array, total)

    def _spread(self, number: int, step: Step) -> Named:
        """What a move gives: the same entries, repeated along the new axes."""
        operand, variable = self.operand(number, step, 0), step.operands[0]
        old = frozenset() if variable is None else self.labels.names(variable)
        return operand.over(operand.span | (self.labels.names(step.results[0]) - old))

    def _reduced(self, number: int, step: Step) -> Named:
        operand = self.operand(number, step, 0)
        names, factor = self.rewrite.over.get(number, (self.replay.met(step), 1.0))
        if step.name == "reduce_sum":
            found = summed(operand, names, self.labels.sizes)
            return Named(found.array * factor, found.axes, found.span)
        return greatest(operand, names, step.name == "reduce_min")

    def _plain_operands(self, number: int, step: Step) -> list[Any]:
        """A step's operands in the shapes that they have in the true run."""
        found = self.tape.operands(step)
        for place, variable in enumerate(step.operands):
            moved = variable in self.values or (number, place) in self.rewrite.operands
            if variable is not None and moved:
                plain = self.labels.plain(variable, self.operand(number, step, place))
                if plain is None:
                    raise NoFit
                found[place] = plain
        return found

    def _forward_whole(self, number: int, step: Step) -> None:
        operands = self._plain_operands(number, step)
        found = whole.run(step, operands) if len(step.results) == 1 else None
        results = step.run(list(map(jnp.asarray, operands))) if found is None else [found]
        for variable, array in zip(step.results, results, strict=True):
            self.values[variable] = self.labels.named(variable, array)

    def gradient(self) -> Named | None:
        """The cotangent of the input."""
        output = self.tape.listing.output
        if output is None:
            return None
        found = {output: self.labels.named(output, self.tape.cotangent)}
        wanted = self.tape.descendants(self.leaf)
        for number in reversed(range(len(self.replay.steps))):
            step = self.replay.steps[number]
            given = [self._edited(n, found.pop(n, None)) for n in step.results]
            if all(cotangent is None for cotangent in given):
                continue
            if self.rewrite.static and {*step.results} & self.replay.vanishing:
                continue
            target = self.rewrite.skips.get(step.results[0])
            if target is not None and given[0] is not None:
                found[target] = _added(found.get(target), given[0])
                continue
            for place, contribution in self._back(number, step, given, wanted):
                variable = step.operands[place]
                assert variable is not None
                found[variable] = _added(found.get(variable), contribution)
        return self._edited(self.leaf, found.get(self.leaf))

    def _edited(self, variable: int, cotangent: Named | None) -> Named | None:
        """A variable's whole cotangent, with what is done to it."""
        if cotangent is not None and variable in self.rewrite.centred:
            cotangent = self._centred(cotangent, self.rewrite.centred[variable])
        change = self.rewrite.cotangents.get(variable)
        if change is None or cotangent is None:
            return cotangent
        plain = self.labels.plain(variable, cotangent)
        if plain is None:
            raise NoFit
        return self.labels.named(variable, change(plain))

    def _back(self, number: int, step: Step, given: list, wanted: set) -> list[tuple[int, Named]]:
        """What a step passes on to each operand that matters."""
        places = [n for n in self.tape.places(step) if step.operands[n] in wanted]
        if number in self.rewrite.passed and number not in self.rewrite.frozen:
            place = self.rewrite.passed[number]
            places = [place] if place in places else []
            return [(n, self._summed_back(given[0], step, n)) for n in places]
        if number in self.labels.whole:
            return self._back_whole(number, step, given, places)
        return [(n, self._back_to(number, step, given[0], n)) for n in places]

    def _back_to(self, number: int, step: Step, g: Named, place: int) -> Named:
        if number in self.rewrite.names:
            turned = {new: old for old, new in self.rewrite.names[number].items()}
            g = g.renamed(turned)
        g = g.renamed(self.rewrite.turned.get(number, {}))
        if step.name == "dot_general":
            other = self._at(number, step, 1 - place)
            span = self._span(number, step, place)
            met = (g.span | other.span) - span
            if self.rewrite.static:
                met = self._met_back(step, place)
                span = (g.span | other.span) - met
            return product(g, other, met, self.labels.sizes).over(span)
        if step.name in REDUCTIONS:
            return self._back_reduced(number, step, g)
        if step.name in VALUES:
            g = together(np.multiply, g, self._slope(number, step, place))
        return self._summed_back(g, step, place)

    def _back_reduced(self, number: int, step: Step, g: Named) -> Named:
        operand = self._at(number, step, 0)
        names, factor = self.rewrite.over.get(number, (self.replay.met(step), 1.0))
        if step.name == "reduce_sum":
            return Named(g.array * factor, g.axes, g.span | names)
        value = greatest(operand, names, step.name == "reduce_min")
        where = together(lambda x, y: (x == y).astype(float), operand, value)
        count = summed(where, names, self.labels.sizes)
        share = together(np.divide, where, count)
        return together(np.multiply, g, share)

    def _met_back(self, step: Step, place: int) -> frozenset[int]:
        """The names that a product's pull-back sums over in the true run."""
        own, other = (step.operands[n] for n in (place, 1 - place))
        assert own is not None
        names = self.labels.names(step.results[0])
        names |= frozenset() if other is None else self.labels.names(other)
        return names - self.labels.names(own)

    def _is_frozen(self, number: int) -> bool:
        return number in self.rewrite.frozen or number in self.rewrite.results

    def _at(self, number: int, step: Step, place: int) -> Named:
        """The operand at which a step is differentiated."""
        variable = step.operands[place]
        if variable is not None and self._is_frozen(number):
            return self.replay.own(variable)
        return self.operand(number, step, place)

    def _span(self, number: int, step: Step, place: int) -> frozenset[int]:
        return self._at(number, step, place).span

    def _slope(self, number: int, step: Step, place: int) -> Named:
        """The slope at the values of this run; those of the true run are kept."""
        moved = number in self.rewrite.values
        moved = moved or (self._is_moved(number, step) and not self._is_frozen(number))
        if moved:
            return self._slope_at(number, step, place)
        key = (number, place)
        if key not in self.replay._slopes:
            self.replay._slopes[key] = self._slope_at(number, step, place)
        return self.replay._slopes[key]

    def _slope_at(self, number: int, step: Step, place: int) -> Named:
        operands = [self._at(number, step, n) for n in range(len(step.operands))]
        frozen = self._is_frozen(number)
        fun = VALUES[step.name]
        value = together(lambda *arrays: fun(step.params, *arrays), *operands)
        if frozen:
            value = self.replay.own(step.results[0])
        if number in self.rewrite.values:
            array = self.rewrite.values[number](self.tape)
            value = self.labels.named(step.results[0], array)

        def of_arrays(value: np.ndarray, *arrays: np.ndarray) -> np.ndarray:
            return np.asarray(slope(step.name, step.params, place, value, arrays))

        if step.name in ("add", "sub", "neg", "copy", "convert_element_type", "add_any"):
            number_ = -1.0 if step.name == "neg" or (step.name == "sub" and place) else 1.0
            return Named(np.asarray(number_), (), value.span)
        found = together(of_arrays, value, *operands)
        if not found.array.ndim:
            return Named(found.array, (), found.span)
        return found

    def _summed_back(self, g: Named, step: Step, place: int) -> Named:
        """The cotangents of an operand's copies, added."""
        variable = step.operands[place]
        assert variable is not None
        if self.rewrite.static:
            names = self.labels.names(step.results[0]) - self.labels.names(variable)
            return summed(g, names, self.labels.sizes)
        span = self.value(variable).span
        return summed(g, g.span - span, self.labels.sizes)

    def _back_whole(
        self, number: int, step: Step, given: list, places: list[int]
    ) -> list[tuple[int, Named]]:
        moved = self._is_moved(number, step) and not self._is_frozen(number)
        moved = moved and step.name not in SAME_EVERYWHERE
        operands = self._plain_operands(number, step) if moved else self.tape.operands(step)
        plain = self._plain_cotangents(step, given)
        if not moved:
            pull = self.tape.pulls[number]
            assert pull is not None
            pulled = dict(zip(self.tape.places(step), pull(plain), strict=True))
        else:
            pulled = {n: self.tape.pull(step, operands, n, plain) for n in places}
        found = []
        for place in places:
            variable = step.operands[place]
            assert variable is not None
            found.append((place, self.labels.named(variable, pulled[place])))
        return found

    def _plain_cotangents(self, step: Step, given: list) -> list[Any]:
        """The cotangents of a step's results in the results' shapes, zeros where there is none."""
        plain: list[Any] = []
        for variable, cotangent in zip(step.results, given, strict=True):
            if cotangent is None:
                plain.append(zero(self.tape.values[variable]))
                continue
            array = self.labels.plain(variable, cotangent)
            if array is None:
                raise NoFit
            plain.append(array.astype(self.tape.values[variable].dtype))
        return plain


def _added(one: Named | None, other: Named) -> Named:
    return other if one is None else together(np.add, one, other)
