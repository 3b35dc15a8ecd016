"""Whose rights a client of the API has: a login that renews itself, kept in the home folder, or an API key."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import stat
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import httpx
from pydantic import SecretStr

from api.chat.problems import problem_of
from trading_core.domain.errors import ConfigurationError, NotAuthenticated

FILE_NAME = "chat-logins.json"
_SPARE = timedelta(seconds=30)  # an access token is renewed that long before it ends


class Credential(Protocol):
    """What proves who is asking."""

    async def bearer(self, http: httpx.AsyncClient) -> str:
        """For the header `Authorization: Bearer`."""

    async def renew(self, http: httpx.AsyncClient, refused: str) -> bool:
        """Find another one for one that was refused; False when there is none."""


@dataclass(frozen=True, slots=True)
class KeyCredential:
    """An API key. It is renewed by nobody."""

    key: SecretStr

    async def bearer(self, http: httpx.AsyncClient) -> str:
        return self.key.get_secret_value()

    async def renew(self, http: httpx.AsyncClient, refused: str) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class Login:
    """What is kept of a login. The refresh token is good for one use."""

    user: str
    access: SecretStr
    access_ends: datetime
    refresh: SecretStr
    refresh_ends: datetime

    @classmethod
    def of(cls, user: str, answer: Mapping[str, str]) -> Login:
        """From the answer of `/auth/login` or `/auth/refresh`."""
        return cls(
            user,
            SecretStr(answer["access_token"]),
            datetime.fromisoformat(answer["expires_at"]),
            SecretStr(answer["refresh_token"]),
            datetime.fromisoformat(answer["refresh_expires_at"]),
        )

    def document(self) -> dict[str, str]:
        return {
            "user": self.user,
            "access_token": self.access.get_secret_value(),
            "expires_at": self.access_ends.isoformat(),
            "refresh_token": self.refresh.get_secret_value(),
            "refresh_expires_at": self.refresh_ends.isoformat(),
        }


class LoginFile:
    """Logins by the address of the desk, in a file that only its owner can read."""

    def __init__(self, home: Path) -> None:
        self._path = home / FILE_NAME

    def get(self, url: str) -> Login | None:
        """The login at a desk.

        Raises:
            ConfigurationError: others than its owner can read the file.
        """
        kept = self._read().get(url)
        try:
            return None if kept is None else Login.of(kept["user"], kept)
        except (KeyError, ValueError, TypeError):
            return None  # written by another version: logging in again is all there is to it

    def put(self, url: str, login: Login | None) -> None:
        """Keep a login, or forget one."""
        kept = {key: value for key, value in self._read().items() if key != url}
        if login is not None:
            kept[url] = login.document()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_name(f"{FILE_NAME}.{secrets.token_hex(8)}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump(kept, file)
        draft.replace(self._path)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Of the clients of one home, one renews at a time: a refresh token that is used twice ends the login."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        opened = os.open(self._path.with_name(f"{FILE_NAME}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if sys.platform != "win32":
                import fcntl

                fcntl.flock(opened, fcntl.LOCK_EX)
            yield
        finally:
            os.close(opened)

    def _read(self) -> dict[str, dict[str, str]]:
        try:
            mode = stat.S_IMODE(self._path.stat().st_mode)
            if os.name == "posix" and mode & 0o077:
                raise ConfigurationError(
                    f"{self._path} holds logins, and others than its owner can read it (mode {mode:o})",
                    not_done="It was not used",
                    next_step="Remove it, log in again, and log the old login out on the desk",
                )
            found = json.loads(self._path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}


class LoginCredential:
    """A login that renews itself, also when another client of the same home renewed it."""

    def __init__(self, file: LoginFile, url: str, login: Login) -> None:
        self._file, self._url, self._login = file, url, login
        self._renewing = asyncio.Lock()

    async def bearer(self, http: httpx.AsyncClient) -> str:
        if datetime.now(UTC) >= self._login.access_ends - _SPARE:
            await self.renew(http, self._login.access.get_secret_value())
        return self._login.access.get_secret_value()

    async def renew(self, http: httpx.AsyncClient, refused: str) -> bool:
        """Raises:
        NotAuthenticated: the login is over.
        """
        async with self._renewing:
            if self._login.access.get_secret_value() != refused:
                return True
            alone = self._file.alone()
            await asyncio.to_thread(alone.__enter__)  # another client may be at it
            try:
                await self._renewed(http, refused)
            finally:
                alone.__exit__(None, None, None)
        return True

    async def _renewed(self, http: httpx.AsyncClient, refused: str) -> None:
        kept = self._file.get(self._url)
        if kept is not None and kept.access.get_secret_value() != refused:
            self._login = kept
            return
        token = self._login.refresh.get_secret_value()
        answer = await http.post("/auth/refresh", json={"refresh_token": token})
        if answer.status_code == 401:
            self._file.put(self._url, None)
            raise NotAuthenticated(
                f"the login of {self._login.user!r} is over", not_done="Nothing was asked", next_step="Log in again"
            )
        if answer.is_error:
            raise problem_of(answer)
        self._login = Login.of(self._login.user, answer.json())
        self._file.put(self._url, self._login)


async def log_in(http: httpx.AsyncClient, user: str, password: SecretStr) -> Login:
    """Give a name and a password for a login.

    Raises:
        ApiProblem: refused, in the desk's words.
    """
    answer = await http.post("/auth/login", json={"name": user, "password": password.get_secret_value()})
    if answer.is_error:
        raise problem_of(answer)
    return Login.of(user, answer.json())
