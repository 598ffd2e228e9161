"""The arrays of a store, their chunks, and what is to be done to fill them."""

import importlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from layouts.streaming.identity import Identity

CHUNK_BYTES = 2**24
LEAST_CHUNK_BYTES = 2**20


@dataclass(frozen=True)
class Array:
    """One array of a store.

    Attributes:
        name: the folder's.
        shape: of the whole.
        dtype: its name.
        axis: along which it is written in blocks, 0 or -1.
        block: the extent of a block there.
        about: attributes for readers.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    axis: int
    block: int
    about: dict[str, Any]

    @property
    def chunks(self) -> tuple[int, ...]:
        """The shape of a chunk: a block, or halves of it until it is an eighth, 16 MiB at most."""
        shape = [max(extent, 1) for extent in self.shape]
        shape[self.axis] = self.block
        itemsize = jnp.dtype(self.dtype).itemsize
        most = min(max(itemsize * prod(shape) // 8, LEAST_CHUNK_BYTES), CHUNK_BYTES)
        alone = self.block >= self.shape[self.axis]
        while itemsize * prod(shape) > most:
            # Along the blocks only even halves stay aligned with them.
            can = [
                n
                for n, extent in enumerate(shape)
                if extent > 1 and (n != self.axis % len(shape) or alone or extent % 2 == 0)
            ]
            if not can:
                break
            widest = max(can, key=lambda n: shape[n])
            shape[widest] = -(-shape[widest] // 2)
        return tuple(shape)

    def chunks_within(self, place: slice) -> Iterator[tuple[str, tuple[slice, ...]]]:
        """The relative path and the place of each chunk of a block."""
        ranges = [range(-(-n // c)) for n, c in zip(self.shape, self.chunks, strict=True)]
        axis = self.axis % len(self.shape)
        size = self.chunks[axis]
        ranges[axis] = range(place.start // size, -(-place.stop // size))
        for index in itertools.product(*ranges):
            slices = tuple(
                slice(i * c, min(i * c + c, n))
                for i, c, n in zip(index, self.chunks, self.shape, strict=True)
            )
            yield f"{self.name}/c/{'/'.join(map(str, index))}", slices


@dataclass(frozen=True)
class Job:
    """What is to be written, and how a block of it is computed.

    Attributes:
        axis: "out" or "in".
        arrays: all arrays of the store.
        count: the number of blocks.
        places: for a block's number, where it stands in which arrays, along their axis.
        compute: for a block's number, its part of each of those arrays.
        identity: digests of what the values depend on.
        memory_limit: the budget that led to these blocks.
    """

    axis: str
    arrays: tuple[Array, ...]
    count: int
    places: Callable[[int], dict[str, slice]]
    compute: Callable[[int], dict[str, jax.Array]]
    identity: Callable[[], Identity]
    memory_limit: int

    def description(self) -> dict[str, Any]:
        """Everything that a store must agree with."""
        arrays = [asdict(array) | {"shape": list(array.shape)} for array in self.arrays]
        return {"axis": self.axis, "arrays": arrays, **asdict(self.identity())}


def tensorstore() -> Any:
    """The library, which is an extra; imported when a store is written or read.

    Raises:
        ImportError: it is not installed.
    """
    try:
        return importlib.import_module("tensorstore")
    except ImportError as error:
        raise ImportError(
            'stores on disk need TensorStore: install it with pip install "layouts[store]"'
        ) from error


def open_array(path: Path, array: Array) -> Any:
    """Open an array, or make it; its metadata is written anew where it was damaged.

    Args:
        path: the store's folder.
        array: which of its arrays.

    Returns:
        A `tensorstore.TensorStore`.
    """
    ts = tensorstore()
    complex_ = array.dtype.startswith("complex")
    spec = {
        "driver": "zarr3",
        "kvstore": {"driver": "file", "path": f"{path.absolute() / array.name}/"},
        "metadata": {
            "shape": list(array.shape),
            "data_type": array.dtype,
            "chunk_grid": {
                "name": "regular",
                "configuration": {"chunk_shape": list(array.chunks)},
            },
            "fill_value": ["NaN", "NaN"] if complex_ else "NaN",
            "codecs": [
                {"name": "bytes", "configuration": {"endian": "little"}},
                {"name": "zstd", "configuration": {"level": 1}},
                {"name": "crc32c"},
            ],
            "attributes": array.about,
        },
    }
    try:
        return ts.open(spec, create=True, open=True).result()
    except ValueError:
        (path / array.name / "zarr.json").unlink(missing_ok=True)
        return ts.open(spec, create=True, open=True).result()
