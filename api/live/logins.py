"""Whether those who stay connected may stay: each token and key is looked at again and again, once for all who came with it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from pydantic import SecretStr
from starlette.requests import HTTPConnection

from trading_core.auth import api_keys
from trading_core.auth.identity import Identity
from trading_core.auth.service import Auth
from trading_core.domain.errors import AlgoTrendyError, NotAuthenticated

LOOK_SECONDS = 20.0  # a login or key that ended follows for so long at most, and a moment
_log = logging.getLogger("algotrendy.live")

Changed = Callable[[Identity | None], None]


async def authenticate(auth: Auth, token: SecretStr) -> Identity:
    """Who holds an access token or an API key.

    Raises:
        NotAuthenticated: it is not accepted.
    """
    is_key = token.get_secret_value().startswith(f"{api_keys.PREFIX}_")
    return await (auth.api_keys.authenticate(token) if is_key else auth.logins.authenticate(token))


def token_of(connection: HTTPConnection) -> SecretStr:
    """The token or key that a caller, who was let in, came with."""
    key = connection.headers.get("x-api-key")
    return SecretStr(key or connection.headers.get("authorization", "").partition(" ")[2].strip())


class Logins:
    """The tokens behind open streams and sockets. `seconds` lie between two looks at each."""

    def __init__(self, auth: Auth, seconds: float = LOOK_SECONDS) -> None:
        self._auth, self._seconds = auth, seconds
        self._held: dict[str, dict[object, Changed]] = {}
        self._task: asyncio.Task[None] | None = None

    def watch(self, token: SecretStr, owner: object, changed: Changed) -> None:
        """Have `changed` told who the token now stands for, at each look; None when it is no longer accepted."""
        self._held.setdefault(token.get_secret_value(), {})[owner] = changed
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="live: logins")

    def forget(self, token: SecretStr, owner: object) -> None:
        key = token.get_secret_value()
        if (held := self._held.get(key)) is not None:
            held.pop(owner, None)
            if not held:
                del self._held[key]

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            for token in list(self._held):
                try:
                    await self._look(token)
                except Exception:  # looking goes on: somebody may have to be thrown out
                    _log.exception("a login could not be looked at")

    async def _look(self, token: str) -> None:
        try:
            found: Identity | None = await authenticate(self._auth, SecretStr(token))
        except NotAuthenticated:
            found = None
        except AlgoTrendyError as error:  # the database is away: nobody is thrown out for that
            _log.warning("logins could not be looked at: %s", error)
            return
        for changed in list(self._held.get(token, {}).values()):
            changed(found)
