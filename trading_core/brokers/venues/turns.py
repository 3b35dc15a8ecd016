"""Signed requests one after the other, for a venue that wants every nonce to be greater than the one it saw last.

Two requests of one key that are under way at once travel over two connections, and the younger may arrive first: Kraken then
refuses the older with `EAPI:Invalid nonce` (https://docs.kraken.com/api/docs/guides/spot-rest-auth). A request whose answer
never came cannot be done late either, once a younger one has been seen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

Send = Callable[..., Awaitable[object]]
_SIGNED = ("private", ["private"])  # ccxt says it either way


def in_turn(send: Send) -> Send:
    """ccxt's `request`, with each signed request waiting for the answer to the one before. Public ones do not wait."""
    turn = asyncio.Lock()

    async def request(
        path: str,
        api: object = "public",
        method: str = "GET",
        params: Mapping[str, object] | None = None,
        config: Mapping[str, object] | None = None,
    ) -> object:
        if api not in _SIGNED:
            return await send(path, api, method, params or {}, config=config or {})
        async with turn:
            return await send(path, api, method, params or {}, config=config or {})

    return request
