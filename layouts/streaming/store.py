"""Named arrays written to disk block by block, through TensorStore: restartable, never half.

Nothing here knows of Jacobians: a `Job` says which arrays there are, where each block of them
stands and how it is computed. The order of writing makes a block's journal line the last thing to
reach the disk, so that what the journal says is there, is there.
"""

import importlib
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress

from layouts.errors import LayoutError
from layouts.streaming.arrays import Job, open_array, tensorstore
from layouts.streaming.journal import Chunks, Journal, checksum_of
from layouts.streaming.matching import (
    DESCRIPTION,
    check_same,
    describe,
    key_of,
    stored_at,
    unreadable,
)

JOURNAL, LOCK = "journal.jsonl", "lock"


@dataclass(frozen=True)
class Written:
    """What writing a store came to.

    Attributes:
        path: the store.
        computed: how many blocks were computed.
        found: how many were there, whole.
        damaged: how many the journal had as finished, but were damaged or missing; they were
            computed again.
    """

    path: Path
    computed: int
    found: int
    damaged: int

    def __str__(self) -> str:
        """In words."""
        text = f"{self.computed} block{'' if self.computed == 1 else 's'} computed"
        if self.found:
            text += f", {self.found} {'was' if self.found == 1 else 'were'} there"
        if self.damaged:
            text += f", {self.damaged} of the computed had been damaged"
        return text


def write(path: Path, job: Job, progress: bool = True) -> Written:
    """Compute the blocks that a store lacks, and write them.

    Args:
        path: the store's folder, made if need be.
        job: what to write.
        progress: show progress where standard error is a terminal.

    Raises:
        ImportError: TensorStore is not installed.
        LayoutError: the store is another job's, damaged, locked, or cannot be written to.
    """
    tensorstore()
    description = job.description()
    with _errors_of(path, "a folder to write to"):
        path.mkdir(parents=True, exist_ok=True)
    with _locked(path):
        journal = _resumed(path, description, job.memory_limit)
        noted = set(journal.finished)
        whole = {number for number in noted if _whole(path, journal.finished[number])}
        with _errors_of(path, "to write the journal"):
            journal.keep(whole)
        with _errors_of(path, "to make the arrays"):
            opened = {array.name: open_array(path, array) for array in job.arrays}
        console = Console(stderr=True)
        with Progress(console=console, disable=not (progress and console.is_terminal)) as bar:
            task = bar.add_task("blocks", total=job.count, completed=len(whole))
            for number in range(job.count):
                if number not in whole:
                    _write_block(path, job, number, opened, journal)
                    bar.advance(task)
    return Written(path, job.count - len(whole), len(whole), len(noted - whole))


def read(path: Path, job: Job) -> dict[str, Any]:
    """Open the arrays of a finished store.

    Raises:
        ImportError: TensorStore is not installed.
        LayoutError: the store is another job's, unfinished or damaged.
    """
    tensorstore()
    description = job.description()
    if not (path / DESCRIPTION).exists():
        raise LayoutError(f"store {path}", "a store", "none", "write it first")
    if (stored := stored_at(path)) is None:
        raise unreadable(path)
    check_same(path, stored, description, job.memory_limit)
    journal = Journal(path / JOURNAL, key_of(description))
    whole = sum(_whole(path, chunks) for chunks in journal.finished.values())
    if whole < job.count:
        raise LayoutError(
            f"store {path}",
            f"{job.count} finished blocks",
            f"{whole}" + (", others damaged" if whole < len(journal.finished) else ""),
            "call write, which computes the blocks that lack",
        )
    with _errors_of(path, "to open the arrays"):
        return {array.name: open_array(path, array) for array in job.arrays}


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keep other writers out; the system lets the lock go when a process ends in any way."""
    fcntl: Any = importlib.import_module("fcntl")  # POSIX alone has it
    with _errors_of(path, "to write the lock"):
        file = open(path / LOCK, "ab")  # noqa: SIM115
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LayoutError(
                f"store {path}",
                "no other writer",
                "one that is at work",
                "wait until it ends, or write to another folder",
            ) from None
        yield


@contextmanager
def _errors_of(path: Path, expected: str) -> Iterator[None]:
    """Say of which store an error of the file system or of TensorStore is."""
    try:
        yield
    except LayoutError:
        raise
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).split(" [tensorstore_spec", 1)[0]
        raise LayoutError(
            f"store {path}",
            expected,
            reason,
            "make room or mend it and call write again: finished blocks are kept",
        ) from error


def _resumed(path: Path, description: dict[str, Any], memory_limit: int) -> Journal:
    """The journal of a store that fits; a new store where the folder is empty."""
    key = key_of(description)
    journal = Journal(path / JOURNAL, key)
    stored = stored_at(path)
    if stored is not None:
        check_same(path, stored, description, memory_limit)
        return journal
    others = [item for item in path.iterdir() if item.name != LOCK and item.suffix != ".tmp"]
    # A description that was lost is written anew, if the journal shows that it was this one.
    if others and not journal.finished:
        raise unreadable(path)
    with _errors_of(path, "to write the description"):
        describe(path, description, memory_limit)
    return journal


def _whole(path: Path, chunks: Chunks) -> bool:
    """Whether all chunks of a block are as the journal has them."""
    return all(checksum_of(path / name) == tuple(noted) for name, noted in chunks.items())


def _write_block(
    path: Path, job: Job, number: int, opened: dict[str, Any], journal: Journal
) -> None:
    """Compute a block, write its chunks, wait until they are on the disk, and note it."""
    values = job.compute(number)
    by_name = {array.name: array for array in job.arrays}
    written: list[str] = []
    with _errors_of(path, f"to write block {number} of {job.count}"):
        for name, place in job.places(number).items():
            array, value = by_name[name], np.asarray(values[name])
            axis, pending = array.axis % value.ndim, deque[Any]()
            for chunk, slices in array.chunks_within(place):
                local = list(slices)
                local[axis] = slice(
                    slices[axis].start - place.start, slices[axis].stop - place.start
                )
                pending.append(
                    opened[name][slices].write(
                        value[tuple(local)], can_reference_source_data_indefinitely=True
                    )
                )
                written.append(chunk)
                if len(pending) == 2:  # so that few chunks are copied and encoded at once
                    pending.popleft().result()
            for future in pending:
                future.result()
        chunks = {chunk: checksum_of(path / chunk) for chunk in written}
        journal.add(number, {chunk: noted for chunk, noted in chunks.items() if noted})
