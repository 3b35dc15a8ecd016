"""One process at a time works on a run's folder. The lock is the operating system's: it ends with the process in any case."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trading_core.domain.errors import ConfigurationError

LOCK = "lock"


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold a run's folder until the block ends.

    Raises:
        ConfigurationError: another process holds it, or the folder cannot be written.
    """
    try:
        file = (folder / LOCK).open("a+", encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"{folder} cannot be written: {error.strerror}", not_done="Nothing was run", next_step="Mend its permissions"
        ) from None
    with file:
        if not _locked(file.fileno()):
            file.seek(0)
            raise ConfigurationError(
                f"process {file.read().strip() or 'of another kind'} is at work on the run {folder.name}",
                not_done="Nothing was run, and nothing was paid for",
                next_step="Wait until it has ended, or end it, and resume then",
            )
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


if sys.platform == "win32":
    import msvcrt

    _FAR = 1 << 20  # a byte that nobody reads: Windows locks bytes against reading too

    def _locked(descriptor: int) -> bool:
        os.lseek(descriptor, _FAR, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _locked(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True
