"""Signed requests to a venue whose nonces have to grow."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from tests.venues.faults import late
from tests.venues.kraken import LOCAL
from tests.venues.local import opened, serving
from tests.waiting import until
from trading_core.brokers.venues.turns import in_turn
from trading_core.domain.orders import OrderRequest, OrderState, OrderType, Side


async def test_signed_requests_are_answered_one_after_the_other_and_public_ones_do_not_wait() -> None:
    answered: list[str] = []
    gate = asyncio.Event()

    async def send(path: str, api: object, *_: object, **__: object) -> str:
        if path == "first":
            await gate.wait()
        answered.append(path)
        return path

    request = in_turn(send)
    signed = [asyncio.create_task(request(path, ["private"], "POST")) for path in ("first", "second")]
    assert await request("open to all") == "open to all"
    await asyncio.sleep(0)
    assert answered == ["open to all"]
    gate.set()
    assert await asyncio.gather(*signed) == ["first", "second"]
    assert answered == ["open to all", "first", "second"]


async def test_a_failed_request_lets_the_next_one_go() -> None:
    async def send(path: str, *_: object, **__: object) -> str:
        if path == "fails":
            raise ConnectionError
        return path

    request = in_turn(send)
    first, second = await asyncio.gather(request("fails", "private"), request("goes", "private"), return_exceptions=True)
    assert isinstance(first, ConnectionError)
    assert second == "goes"


async def test_at_kraken_an_order_waits_for_the_answer_to_a_read() -> None:
    with serving(LOCAL) as server:
        async with opened(LOCAL, server) as local:
            await local.broker.open()
            server.faults.queue("balance", late(0.3))
            order = OrderRequest("c1", LOCAL.symbol, Side.BUY, OrderType.LIMIT, Decimal("0.01"), Decimal(40_000))
            read = asyncio.create_task(local.broker.balances())
            await until(lambda: server.count("balance"))
            placed = asyncio.create_task(local.broker.place(order))
            await asyncio.sleep(0.1)
            assert server.count("place") == 0
            await read
            assert (await placed).state is OrderState.OPEN
