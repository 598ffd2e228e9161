"""Times of several programs against each other, and what it takes to compile them."""

import ctypes
import random
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax

FEWEST = 3  # measurements of a call, however long it takes
SLOW = 0.1  # seconds; what takes longer does not feel what ran before it
LONG = 0.5  # seconds of a compilation that is not repeated

# What glibc's `mallopt` calls them: where freed memory goes back, and from where it comes.
TRIM_THRESHOLD, MMAP_MAX, ARENA_MAX = -1, -4, -8
MOST = 2**31 - 1


def keep_memory() -> bool:
    """Keep what programs free, so that they are timed on memory that is warm as they are.

    Else a large result is written to pages that the system has to hand out first, at several times
    the cost of writing it, or to pages kept from before: which of both is chance. It depends on
    what ran earlier, and is no program's own doing.

    Returns:
        Whether the C library lets it be set: glibc does.
    """
    try:
        library = ctypes.CDLL(None)
        asked = ((ARENA_MAX, 1), (MMAP_MAX, 0), (TRIM_THRESHOLD, MOST))
        return sum(library.mallopt(*setting) for setting in asked) == len(asked)
    except (AttributeError, OSError, TypeError):
        return False


def interleaved(
    calls: Mapping[str, Callable[[], Any]], rounds: int, seconds: float
) -> dict[str, float]:
    """The median time of each call, measured in turns so that drift hits all alike.

    A call that has used up its share of the time sits out, once it was measured three times.

    Args:
        calls: calls without arguments that return JAX arrays.
        rounds: how often each is measured at most.
        seconds: the time for all of them together.

    Returns:
        Seconds per call, by name.

    Example:
        >>> sorted(interleaved({"a": lambda: 1, "b": lambda: 2}, rounds=3, seconds=1.0))
        ['a', 'b']
    """
    for call in calls.values():
        jax.block_until_ready(call())  # the first call of a program is not like the others
    turns, shuffle = list(calls), random.Random(0).shuffle
    measured: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        shuffle(turns)  # so that none always follows the same neighbour
        for name in turns:
            if len(measured[name]) < FEWEST or _spent(measured[name]) < seconds / len(calls):
                measured[name].append(_once(calls[name], measured[name]))
    return {name: statistics.median(times) for name, times in measured.items()}


def _spent(times: list[float]) -> float:
    """What the measurements took, the calls before them included."""
    return sum(times) * (1 if times[0] > SLOW else 2)


def _once(call: Callable[[], Any], before: list[float]) -> float:
    if not (before and before[0] > SLOW):
        jax.block_until_ready(call())  # what ran before it has filled the caches
    start = time.perf_counter()
    jax.block_until_ready(call())
    return time.perf_counter() - start


def compiling(programs: Mapping[str, Callable[[], Callable]], args: tuple) -> dict[str, float]:
    """The seconds that each program takes to trace, plan and compile.

    The better of two times where one does not take long.

    Args:
        programs: for each a call that makes it anew, so that no trace of it is found again.
        args: the arguments to compile for.
    """
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for turn in range(2):
        for name, make in programs.items():
            if turn and seconds[name][0] > LONG:
                continue
            start = time.perf_counter()
            jax.jit(make()).lower(*args).compile()
            seconds[name].append(time.perf_counter() - start)
    return {name: min(times) for name, times in seconds.items()}
