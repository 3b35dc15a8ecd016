"""The key that signs access tokens: from the providers of secrets, or else a file of the desk's own that only its owner reads."""

from __future__ import annotations

import asyncio
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from trading_core.auth.token_keys import SIGNING_NAME, load_token_keys
from trading_core.auth.tokens import KeyRing, SigningKey
from trading_core.domain.errors import ConfigurationError
from trading_core.secrets.port import SecretChain

if TYPE_CHECKING:
    from trading_core.secrets.port import SecretProvider

FILE_NAME = "token-signing-key.pem"


class KeyFile:
    """A provider of one secret, which it makes when it is first asked for.

    Good for a desk on one machine. Where several serve one database, each would refuse the tokens of the others: there the key
    belongs with a provider of secrets, and this file is never asked for.
    """

    name = "key file"

    def __init__(self, home: Path) -> None:
        self._path = home / FILE_NAME

    async def get(self, name: str) -> SecretStr | None:
        """The key.

        Raises:
            ConfigurationError: others than its owner can read or write the file.
            OSError: it cannot be read or made.
        """
        return await asyncio.to_thread(self._read_or_make) if name == SIGNING_NAME else None

    async def close(self) -> None:
        """Nothing is held open."""

    def _read_or_make(self) -> SecretStr:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if not self._path.exists():
            self._make()
        mode = stat.S_IMODE(self._path.stat().st_mode)
        if os.name == "posix" and mode & 0o077:
            raise ConfigurationError(
                f"{self._path} signs access tokens, and others than its owner can use it (mode {mode:o})",
                not_done="No token can be checked or made",
                next_step="Remove it, and a new one is made; tokens of the old one are then refused",
            )
        return SecretStr(self._path.read_text(encoding="ascii"))

    def _make(self) -> None:
        """Write a new key under a name of its own first, so that nobody ever reads half of one, and the first one made counts."""
        draft = self._path.with_name(f"{FILE_NAME}.{secrets.token_hex(8)}")
        opened = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(opened, "w", encoding="ascii") as file:
                file.write(SigningKey.generate(secrets.token_bytes).to_pem().get_secret_value())
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):  # another process was first
                os.link(draft, self._path)
        finally:
            draft.unlink()


async def token_keys(home: Path, providers: SecretProvider) -> KeyRing:
    """The keys as the providers have them; a signing key that none of them has is kept in the home folder.

    Raises:
        ConfigurationError: a key cannot be used, or its file is open to others.
        SecretUnavailable: a provider failed.
    """
    return await load_token_keys(SecretChain([providers, KeyFile(home)]))
