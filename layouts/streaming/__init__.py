"""Jacobians larger than memory: block by block, to a loop or to a store on disk.

`layouts.stream` plans blocks of rows or columns under a budget and compiles one program for all of
them. A `Stream` is iterated, or written to a Zarr store from which it goes on after being killed.
"""

from layouts.streaming.store import Written
from layouts.streaming.streams import Block, Stream
from layouts.streaming.transform import stream

__all__ = ["Block", "Stream", "Written", "stream"]
