"""Blocks of rows or columns of a dense Jacobian, one after another, under a budget."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from types import EllipsisType
from typing import Any

import jax
import numpy as np

from layouts import budget
from layouts.streaming import store
from layouts.streaming.arrays import Array, Job
from layouts.streaming.identity import Identity
from layouts.streaming.planning import Part

Index = tuple[slice | EllipsisType, ...]


@dataclass(frozen=True, eq=False)
class Block:
    """Some rows or columns of a dense Jacobian.

    Attributes:
        number: which block of the stream, from 0.
        leaf: the path of the output (rows) or input (columns) in its pytree; "" where it is alone.
        slices: where the block stands: `whole[block.slices] = block.array`. In `whole` the entries
            of that output or input, taken by rows, are one axis: the first (rows) or last.
        array: (rows, *in_shape) or (*out_shape, columns); a pytree of those, with the structure of
            the inputs (rows) or of the outputs (columns), where these are several.
    """

    number: int
    leaf: str
    slices: Index
    array: Any


@dataclass(frozen=True, eq=False)
class End:
    """One output (rows) or input (columns), which is worked through in blocks.

    Attributes:
        leaf: its path in the pytree.
        shape: its own.
        whole: shape and dtype of each array on the other side, this one's entries on one axis.
        part: its blocks; None where it has no entries.
    """

    leaf: str
    shape: tuple[int, ...]
    whole: tuple[jax.ShapeDtypeStruct, ...]
    part: Part | None


@dataclass(frozen=True, eq=False, repr=False)
class Stream:
    """A dense Jacobian in blocks: iterable, with a length, and each block by its number.

    Made by `layouts.stream`. All blocks of one output (or input) come from one compiled program;
    where they do not divide, the last is computed with some rows of the one before, which are cut
    off: the slices tile the result exactly once. A block is computed when it is asked for, each
    time anew.

    Attributes:
        axis: "out" for blocks of rows, "in" for blocks of columns.
        memory_limit: the budget in bytes.

    Example:
        >>> import layouts, jax.numpy as jnp
        >>> x = jnp.arange(6.0, dtype=jnp.float32)
        >>> print(layouts.stream(lambda x: jnp.outer(x, x), memory_limit=1000)(x))
        5 blocks of up to 8 rows: 36 × 6 float32, 864 bytes
        peak 720 bytes of 1 kB
    """

    axis: str
    memory_limit: int
    _ends: tuple[End, ...]
    _others: tuple[str, ...]
    _structure: Any
    _residuals: tuple[jax.Array | None, ...]
    _identity: Callable[[], Identity]

    @property
    def result(self) -> dict[str, Any]:
        """For each `Block.leaf` the shapes and dtypes of the whole, in a tree as `Block.array`."""
        return {end.leaf: jax.tree.unflatten(self._structure, end.whole) for end in self._ends}

    @property
    def plan(self) -> tuple[budget.Blocks, ...]:
        """How each output or input that has entries is worked through."""
        return tuple(end.part.blocks for end in self._ends if end.part)

    @property
    def peak_bytes(self) -> int:
        """The most bytes of arrays alive at once, as XLA counts its compiled programs.

        They are the residuals, the intermediates of a block, the block, and the one before it,
        which a loop's variable still holds.
        """
        return max((end.part.peak_bytes for end in self._ends if end.part), default=0)

    def __len__(self) -> int:
        """The number of blocks."""
        return sum(blocks.count for blocks in self.plan)

    def __iter__(self) -> Iterator[Block]:
        """The blocks in order; one at a time is computed."""
        for number in range(len(self)):
            yield self[number]

    def __getitem__(self, number: int) -> Block:
        """Compute one block.

        Raises:
            IndexError: there is no block of this number.
        """
        end, part, local = self._located(number)
        place = part.place(local)
        first = max(place.stop - part.blocks.size, 0)
        arrays = part.run(np.int32(first), *[self._residuals[index] for index in part.used])
        # Computed to the end, so that never two blocks are under way.
        arrays = jax.block_until_ready(arrays)
        if place.start > first:
            skipped = slice(place.start - first, None)
            arrays = jax.block_until_ready([array[self._along(skipped)] for array in arrays])
        array = jax.tree.unflatten(self._structure, arrays)
        return Block(number % len(self), end.leaf, self._along(place), array)

    def _along(self, place: slice) -> Index:
        return (place, ...) if self.axis == "out" else (..., place)

    def _located(self, number: int) -> tuple[End, Part, int]:
        local = number + len(self) if number < 0 else number
        for end in self._ends:
            count = end.part.blocks.count if end.part else 0
            if end.part and 0 <= local < count:
                return end, end.part, local
            local -= count
        raise IndexError(f"block {number} of {len(self)}")

    def __str__(self) -> str:
        """How many blocks of what size, and what they take."""
        lines = []
        for end in self._ends:
            count, size = (end.part.blocks.count, end.part.blocks.size) if end.part else (0, 0)
            ragged = "up to " if end.part and end.part.entries % size else ""
            shapes = ", ".join(f"{_by(whole.shape)} {whole.dtype.name}" for whole in end.whole)
            of = f" of {end.leaf}" if end.leaf else ""
            total = _bytes(sum(prod(whole.shape) * whole.dtype.itemsize for whole in end.whole))
            lines.append(
                f"{_plural(count, 'block')} of {ragged}"
                f"{_plural(size, 'row' if self.axis == 'out' else 'column')}{of}: {shapes}, {total}"
            )
        lines.append(f"peak {_bytes(self.peak_bytes)} of {_bytes(self.memory_limit)}")
        return "\n".join(lines)

    __repr__ = __str__

    def write(self, path: str | Path, progress: bool = True) -> store.Written:
        """Write the blocks to a Zarr store; go on where an earlier run ended, however it ended.

        A block counts as finished when its chunks are on the disk and a line of the store's journal
        says so; then it is not computed again. When a run is resumed, each finished block is read
        and compared with the checksums in the journal; one that is damaged or missing is computed
        again. Chunks are whole blocks or even parts of one, and carry checksums of their own, so
        that a reader sees damage too; what is not yet written reads as NaN.

        The arrays are Zarr version 3: `path/jacobian`, or `path/jacobian-0-1` for output 0 by input
        1 where there are several, with the shapes of `Stream.result`. Any Zarr reader opens them:

            tensorstore.open({"driver": "zarr3", "kvstore": "file:///.../path/jacobian/"})

        Small blocks take up to 4 MiB of buffers beyond the budget.

        A store has one writer, which has the arguments whole. Where they lie on the devices of
        several processes, blocks do so too, and are iterated; to write from several processes, give
        each the whole arguments and rows of its own, and a folder for them:

            layouts.stream(lambda x: f(x)[mine])(x).write(f"jacobian/{jax.process_index()}")

        Args:
            path: a folder, made if need be; the store of an earlier run of the same stream.
            progress: show progress, where standard error is a terminal.

        Returns:
            How many blocks were computed, and how many were found finished.

        Raises:
            ImportError: TensorStore is not installed: `pip install "layouts[store]"`.
            LayoutError: the store was written for another function, other inputs, shapes, dtypes
                or blocks; another process writes to it; its own description is damaged; or the
                disk is full. Finished blocks are kept in each case.

        Example:
            >>> import layouts, tempfile, jax.numpy as jnp
            >>> rows = layouts.stream(lambda x: jnp.outer(x, x))(jnp.arange(3.0))
            >>> folder = tempfile.TemporaryDirectory()
            >>> print(rows.write(folder.name, progress=False))
            1 block computed
            >>> print(rows.write(folder.name, progress=False))
            0 blocks computed, 1 was there
            >>> rows.read(folder.name)[""][:, 0].read().result().tolist()
            [0.0, 1.0, 2.0, 1.0, 0.0, 0.0, 2.0, 0.0, 0.0]
        """
        return store.write(Path(path), self._job(), progress)

    def read(self, path: str | Path) -> dict[str, Any]:
        """Open a finished store of this stream; nothing is loaded yet.

        Args:
            path: the folder that `write` was given.

        Returns:
            `Stream.result` with a `tensorstore.TensorStore` in the place of each shape: slices of
            it are read by `opened[""][10:20].read().result()`, as NumPy arrays.

        Raises:
            ImportError: TensorStore is not installed.
            LayoutError: no store is there, it is of another stream, or it is unfinished or damaged.
        """
        opened = store.read(Path(path), self._job())
        return {
            leaf: jax.tree.unflatten(self._structure, [opened[name] for name in names])
            for leaf, names in self._names().items()
        }

    def _names(self) -> dict[str, list[str]]:
        """The name in the store of each array, by the leaf."""
        if len(self._ends) == len(self._others) == 1:
            return {self._ends[0].leaf: ["jacobian"]}
        return {
            end.leaf: [
                f"jacobian-{near}-{far}" if self.axis == "out" else f"jacobian-{far}-{near}"
                for far in range(len(self._others))
            ]
            for near, end in enumerate(self._ends)
        }

    def _job(self) -> Job:
        """What the store needs to know: arrays, the places of the blocks, how to compute one."""
        names = self._names()

        def places(number: int) -> dict[str, slice]:
            end, part, local = self._located(number)
            return dict.fromkeys(names[end.leaf], part.place(local))

        def compute(number: int) -> dict[str, jax.Array]:
            block = self[number]
            return dict(zip(names[block.leaf], jax.tree.leaves(block.array), strict=True))

        return Job(
            self.axis,
            tuple(array for end in self._ends for array in self._stored(end, names[end.leaf])),
            len(self),
            places,
            compute,
            self._identity,
            self.memory_limit,
        )

    def _stored(self, end: End, names: Sequence[str]) -> Iterator[Array]:
        """How the arrays of one leaf stand in the store."""
        along, size = 0 if self.axis == "out" else -1, end.part.blocks.size if end.part else 1
        for name, whole, other in zip(names, end.whole, self._others, strict=True):
            output, into = (end.leaf, other) if self.axis == "out" else (other, end.leaf)
            about = {"output": output, "input": into, "axis": self.axis, "shape": list(end.shape)}
            yield Array(name, whole.shape, whole.dtype.name, along, size, about)


def _by(shape: Sequence[int]) -> str:
    return " × ".join(map(str, shape))


def _plural(count: int, what: str) -> str:
    return f"{count:,} {what}" + ("" if count == 1 else "s")


def _bytes(count: float) -> str:
    """A number of bytes as people say it.

    Example:
        >>> _bytes(3_200_000_000), _bytes(512)
        ('3.2 GB', '512 bytes')
    """
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if count < 1000 or unit == "TB":
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.3g} {unit}"
        count /= 1000
    raise AssertionError
