"""Which blocks of a store are finished: a file of lines, each with its own checksum."""

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

Chunks = dict[str, tuple[int, str]]


@dataclass
class Journal:
    """The finished blocks, and the chunks of each with their sizes and checksums.

    A line is added when the chunks of a block are on the disk, and is forced there before the next
    block begins. A line that was cut or altered does not count, so its block is computed again.

    Attributes:
        path: the file.
        key: of the store's description; a line of another store does not count.
        finished: for each finished block its chunks: size in bytes and checksum by relative path.

    Example:
        >>> import tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> journal = Journal(Path(folder.name) / "journal", "key")
        >>> journal.add(3, {"c/3/0": (17, "ab")})
        >>> Journal(journal.path, "key").finished
        {3: {'c/3/0': (17, 'ab')}}
        >>> Journal(journal.path, "another").finished
        {}
    """

    path: Path
    key: str
    finished: dict[int, Chunks] = field(init=False)

    def __post_init__(self):
        lines = self.path.read_bytes().splitlines() if self.path.exists() else []
        self.finished = dict(entry for entry in map(self._entry, lines) if entry)

    def add(self, block: int, chunks: Chunks) -> None:
        """Add a line for a block, and force it to the disk."""
        with open(self.path, "ab") as file:
            file.write(self._line(block, chunks))
            file.flush()
            os.fsync(file.fileno())
        self.finished[block] = chunks

    def keep(self, blocks: set[int]) -> None:
        """Leave the lines of these blocks alone; the file is replaced as a whole."""
        self.finished = {block: self.finished[block] for block in sorted(blocks)}
        lines = [self._line(block, chunks) for block, chunks in self.finished.items()]
        replace_file(self.path, b"".join(lines))

    def _line(self, block: int, chunks: Chunks) -> bytes:
        text = json.dumps([block, chunks])
        return f"{self._checksum(text)} {text}\n".encode()

    def _entry(self, line: bytes) -> tuple[int, Chunks] | None:
        checksum, _, text = line.decode(errors="replace").partition(" ")
        if self._checksum(text) != checksum:
            return None
        block, chunks = json.loads(text)
        return block, {name: (size, digest) for name, (size, digest) in chunks.items()}

    def _checksum(self, text: str) -> str:
        return hashlib.blake2b(text.encode(), digest_size=16, key=self.key.encode()).hexdigest()


def replace_file(path: Path, data: bytes) -> None:
    """Write a file so that at every moment it has the old contents or the new."""
    beside = path.with_name(path.name + ".tmp")
    with open(beside, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)
    _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    """Force a folder's list of names to the disk."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def checksum_of(path: Path) -> tuple[int, str] | None:
    """The size and checksum of a file; None where there is none."""
    try:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16))
            return file.tell(), digest.hexdigest()
    except FileNotFoundError:
        return None
