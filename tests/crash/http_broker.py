"""A `Broker` that speaks to the paper venue over HTTP. It lives in the tests: no real venue speaks this protocol."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

import httpx
from pydantic import TypeAdapter, ValidationError

from tests.crash.paper_venue import BALANCES, FILLS, INSTRUMENTS, REPORT, REPORTS, REQUEST
from trading_core.brokers.base import Balance, Missed, OrderReport, Update
from trading_core.domain.clock import Clock, iso
from trading_core.domain.errors import AmbiguousOutcome, BrokerUnavailable, OrderRefused
from trading_core.domain.instruments import Instrument
from trading_core.domain.orders import Fill, OrderRequest

T = TypeVar("T")
_PERHAPS_REPORT: TypeAdapter[OrderReport | None] = TypeAdapter(OrderReport | None)
READ_SECONDS, WRITE_SECONDS = 60.0, 2.0  # no answer takes so long on a slow machine
# The line is plain HTTP. Without this every client would load the machine's certificates, which takes longer than a kill.
NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class HttpBroker:
    """One account at the venue of `tests.crash.paper_venue`.

    Args:
        url: of the account.
        clock: the client's; every request tells the venue what time it is.
    """

    venue = "paper"
    is_paper = True

    def __init__(self, url: str, clock: Clock) -> None:
        self._client = httpx.AsyncClient(base_url=url, timeout=READ_SECONDS, trust_env=False, verify=NO_CERTIFICATES)
        self._clock = clock

    async def close(self) -> None:
        await self._client.aclose()

    async def instruments(self) -> Mapping[str, Instrument]:
        return await self._read("/instruments", INSTRUMENTS)

    async def balances(self) -> Mapping[str, Balance]:
        return await self._read("/balances", BALANCES)

    async def open_orders(self) -> Sequence[OrderReport]:
        return await self._read("/orders", REPORTS)

    async def fills(self, *, since: datetime) -> Sequence[Fill]:
        return await self._read("/fills", FILLS, since=iso(since))

    async def order(self, client_order_id: str, symbol: str) -> OrderReport | None:
        return await self._read(f"/orders/{client_order_id}", _PERHAPS_REPORT, symbol=symbol)

    async def place(self, request: OrderRequest) -> OrderReport:
        return await self._write("POST", "/orders", f"order {request.client_order_id!r}", body=REQUEST.dump_json(request))

    async def cancel(self, client_order_id: str, symbol: str) -> OrderReport:
        what = f"the cancel of order {client_order_id!r}"
        return await self._write("DELETE", f"/orders/{client_order_id}", what, symbol=symbol)

    async def updates(self) -> AsyncIterator[Update]:
        """This venue has no stream: everything is to be read."""
        yield Missed()
        await asyncio.Event().wait()

    async def _read(self, path: str, kind: TypeAdapter[T], **query: str) -> T:
        """Only the venue's own word that there is no such order is None; everything else that is not an answer is an error."""
        try:
            answer = await self._client.get(path, params=query, headers=self._stamp())
            if answer.status_code == httpx.codes.NOT_FOUND and "unknown" in answer.json():
                return kind.validate_python(None)
            return kind.validate_json(answer.raise_for_status().content)
        except (httpx.HTTPError, ValueError) as error:
            raise BrokerUnavailable(f"{path} could not be read: {error!r}") from error

    async def _write(self, method: str, path: str, what: str, body: bytes | None = None, **query: str) -> OrderReport:
        try:
            answer = await self._client.request(
                method, path, content=body, params=query, headers=self._stamp(), timeout=WRITE_SECONDS
            )
        except httpx.HTTPError as error:
            raise AmbiguousOutcome(f"{what} got no answer: {error!r}") from error
        if answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY:
            raise OrderRefused(f"{what} was refused: {answer.text}", not_done="It was not taken")
        try:
            return REPORT.validate_json(answer.raise_for_status().content)
        except (httpx.HTTPError, ValidationError) as error:
            raise AmbiguousOutcome(f"{what} got an answer that tells nothing: {error!r}") from error

    def _stamp(self) -> dict[str, str]:
        return {"x-now": iso(self._clock.now())}
