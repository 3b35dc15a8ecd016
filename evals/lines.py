"""Files of lines that survive a kill: a line is there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

_BLOCK = 65_536


class Lines:
    """A file to which whole lines are appended. What a killed process left unfinished at its end is cut off when it is opened."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab")
        self._end = _last_end(path)
        self._file.truncate(self._end)

    def append(self, line: bytes) -> int:
        """Add a line, given without its end, and have the disk keep it; where it begins, in bytes."""
        begins = self._end
        self._file.write(line + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._end += len(line) + 1
        return begins

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @staticmethod
    def read(path: Path) -> Iterator[bytes]:
        """Every whole line; none when there is no such file."""
        if not path.exists():
            return
        with path.open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    yield line


def _last_end(path: Path) -> int:
    """Where the last whole line ends."""
    with path.open("rb") as file:
        position = file.seek(0, os.SEEK_END)
        while position > 0:
            begin = max(0, position - _BLOCK)
            file.seek(begin)
            found = file.read(position - begin).rfind(b"\n")
            if found >= 0:
                return begin + found + 1
            position = begin
    return 0
