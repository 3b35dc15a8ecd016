"""Stops on the paper exchange, with numbers worked out by hand. The account holds 19.96 BTC bought at 100."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest

from tests.unit.feeds import bar, flat
from tests.unit.paper_exchange import BTC, LATENCY, PLAIN, Exchange, at, exchange, request
from trading_core.brokers.paper.rules import PaperRules
from trading_core.domain.market import Bar
from trading_core.domain.orders import Fill, OrderState, OrderType, Side

D = Decimal
STOP, STOP_LIMIT, LIMIT = OrderType.STOP, OrderType.STOP_LIMIT, OrderType.LIMIT
SLIPPERY = PaperRules(impact_coefficient=D("0.1"), jitter=D(0))


@asynccontextmanager
async def holding(bars: Sequence[Bar], rules: PaperRules = PLAIN, half_spread: str = "0") -> AsyncIterator[Exchange]:
    """An exchange just after bar 1 opened, with coins; `bars` start with bar 2."""
    async with exchange([flat(0), flat(1), *bars], rules=rules, half_spread=half_spread) as x:
        await x.broker.place(request("entry", quantity="20"))
        x.go(1.1)
        yield x


async def _sales(x: Exchange) -> list[tuple[str, Decimal, Decimal, object]]:
    fills: Sequence[Fill] = await x.fills()
    return [(f.client_order_id, f.price, f.quantity, f.at) for f in fills if f.client_order_id != "entry"]


async def test_a_stop_touched_inside_a_bar_fills_at_its_price_less_slippage_and_half_spread() -> None:
    async with holding([bar(2, "100", "101", "94", "98", "1000")], SLIPPERY, "0.001") as x:
        await x.broker.place(request("s", Side.SELL, STOP, "10", stop="95"))
        x.go(3)
        # (95 - 0.1) * (1 - 0.1 * sqrt(10 / 1000)) = 93.951
        assert await _sales(x) == [("s", D("93.95"), D(10), at(3))]


async def test_a_stop_the_open_gaps_over_fills_at_the_open() -> None:
    async with holding([bar(2, "90", "99", "85", "98")]) as x:
        await x.broker.place(request("s", Side.SELL, STOP, "10", stop="95"))
        x.go(2.5)
        assert await _sales(x) == [("s", D(90), D(10), at(2))]


async def test_a_buy_stop_is_the_mirror_image() -> None:
    async with holding([bar(2, "100", "106", "99", "103"), bar(3, "112", "113", "111", "112")]) as x:
        await x.broker.place(request("inside", Side.BUY, STOP, "1", stop="105"))
        await x.broker.place(request("gap", Side.BUY, STOP, "1", stop="110"))
        x.go(3.5)
        assert await _sales(x) == [("inside", D(105), D(1), at(3)), ("gap", D(112), D(1), at(3))]


async def test_a_stop_not_reached_stays() -> None:
    async with holding([bar(2, "100", "101", "95.01", "98")]) as x:
        await x.broker.place(request("s", Side.SELL, STOP, "10", stop="95"))
        x.go(3)
        assert await _sales(x) == []
        assert (await x.report("s")).state is OrderState.OPEN


async def test_the_price_may_pass_a_stop_while_it_is_on_its_way() -> None:
    async with holding([flat(2, "90")]) as x:
        x.clock.advance_to(at(2) - LATENCY / 2)
        await x.broker.place(request("s", Side.SELL, STOP, "10", stop="95"))
        x.go(2.5)
        assert await _sales(x) == [("s", D(90), D(10), at(2) + LATENCY / 2)]


async def test_of_a_stop_and_a_take_profit_in_one_bar_the_stop_is_first() -> None:
    async with holding([bar(2, "100", "110", "90", "100", "120")]) as x:
        await x.broker.place(request("profit", Side.SELL, LIMIT, "9", limit="108"))
        await x.broker.place(request("s", Side.SELL, STOP, "10", stop="95"))
        x.go(3)
        # 10 % of 120 is shared: the later stop is served first
        assert await _sales(x) == [("s", D(95), D(10), at(3)), ("profit", D(108), D(2), at(3))]


async def test_what_is_left_of_a_stop_goes_on_at_the_next_opens() -> None:
    async with holding([bar(2, "100", "100", "94", "96", "40"), flat(3, "97", "30"), flat(4, "99")]) as x:
        await x.broker.place(request("s", Side.SELL, STOP, "10", stop="95"))
        x.go(5)
        assert await _sales(x) == [("s", D(95), D(4), at(3)), ("s", D(97), D(4), at(3)), ("s", D(99), D(2), at(4))]
        assert (await x.report("s")).state is OrderState.FILLED


async def test_a_stop_limit_triggered_inside_a_bar_is_bounded_by_its_limit() -> None:
    async with holding([bar(2, "100", "101", "94", "98", "1000")], SLIPPERY) as x:
        await x.broker.place(request("bound", Side.SELL, STOP_LIMIT, "9", stop="95", limit="94.9"))
        await x.broker.place(request("loose", Side.SELL, STOP_LIMIT, "10", stop="95", limit="90"))
        x.go(3)
        assert await _sales(x) == [("bound", D("94.90"), D(9), at(3)), ("loose", D("94.05"), D(10), at(3))]


async def test_a_stop_limit_gapped_beyond_its_limit_rests_until_a_later_bar() -> None:
    async with holding([bar(2, "90", "99", "85", "98"), bar(3, "93", "94.01", "93", "94")]) as x:
        await x.broker.place(request("s", Side.SELL, STOP_LIMIT, "10", stop="95", limit="94"))
        x.go(3)
        assert await _sales(x) == []  # although the high was above the limit
        x.go(4)
        assert await _sales(x) == [("s", D(94), D(10), at(4))]
        assert (await x.fills())[-1].is_maker


async def test_a_stop_limit_that_asks_for_more_than_its_stop_rests() -> None:
    async with holding([bar(2, "100", "100", "94", "95"), bar(3, "95", "97", "95", "96")]) as x:
        await x.broker.place(request("s", Side.SELL, STOP_LIMIT, "10", stop="95", limit="96"))
        x.go(3)
        assert await _sales(x) == []
        x.go(4)
        assert await _sales(x) == [("s", D(96), D(10), at(4))]


@pytest.mark.parametrize("kind", [STOP, STOP_LIMIT])
async def test_a_cancelled_stop_frees_its_coins_and_never_fires(kind: OrderType) -> None:
    async with holding([bar(2, "90", "91", "80", "85")]) as x:
        limit = "80" if kind is STOP_LIMIT else None
        await x.broker.place(request("s", Side.SELL, kind, "10", stop="95", limit=limit))
        assert await x.free("BTC") == D("9.96")
        x.go(1.5)
        await x.broker.cancel("s", BTC)
        x.go(3)
        assert await _sales(x) == []
        assert await x.free("BTC") == D("19.96")
