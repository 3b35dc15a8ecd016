"""Secrets from a folder with a file for each, as Docker and Kubernetes mount them.

https://docs.docker.com/engine/swarm/secrets/, https://kubernetes.io/docs/concepts/configuration/secret/

Files that everybody can read are taken: Docker mounts secrets as 0444 and Kubernetes as 0644, and inside a container that is
nobody else. A file that everybody can write is refused, as anybody could have put another key there.
"""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

from pydantic import SecretStr

from trading_core.secrets.port import MOST_BYTES, checked_name, failed, usable

DEFAULT_FOLDER = Path("/run/secrets")


class FileSecrets:
    """`credentials-key` is the file of that name in the folder, less one line end at its end.

    Kubernetes replaces all files at once by turning a link, so links are followed and nothing is kept between two reads.
    """

    name = "files"

    def __init__(self, folder: Path = DEFAULT_FOLDER) -> None:
        self._folder = folder

    async def get(self, name: str) -> SecretStr | None:
        return await asyncio.to_thread(self._read, checked_name(name))

    async def close(self) -> None:
        pass

    def _read(self, name: str) -> SecretStr | None:
        path = self._folder / name
        where = f"the file {path}"
        try:
            content = _content(path)
        except FileNotFoundError:
            if not self._folder.is_dir():
                raise failed(name, where, "its folder is not there", "Mount the secrets, or give another folder") from None
            if path.is_symlink():
                raise failed(name, where, "it is a link to nothing") from None
            return None
        except _Unusable as error:
            raise failed(name, where, str(error)) from None
        except OSError as error:
            raise failed(name, where, os.strerror(error.errno or 0)) from None
        try:
            text = content.decode()
        except UnicodeDecodeError:  # its message would show what is in the file
            raise failed(name, where, "it is not text in UTF-8", "Store keys that are bytes as base64") from None
        return usable(text.removesuffix("\n").removesuffix("\r"), name, where)


class _Unusable(Exception):
    """A file that must not be read, and why."""


def _content(path: Path) -> bytes:
    # What was opened is looked at, and not what the path meant before. Without waiting, as a pipe would never open.
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        mode = os.fstat(file.fileno()).st_mode
        if not stat.S_ISREG(mode):
            raise _Unusable("it is not a file")
        if mode & stat.S_IWOTH:
            raise _Unusable("everybody can write to it; chmod o-w")
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise _Unusable(f"it is longer than {MOST_BYTES} bytes")
    return content
