"""Market and limit orders on the paper exchange, with numbers worked out by hand."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from tests.unit.feeds import bar, flat
from tests.unit.paper_exchange import BTC, LATENCY, PLAIN, at, exchange, request
from trading_core.brokers.base import Balance
from trading_core.brokers.paper.rules import PaperRules
from trading_core.domain.errors import BrokerUnavailable, ConfigurationError, MarketDataUnavailable, OrderRefused
from trading_core.domain.instruments import FeeCurrency
from trading_core.domain.market import Ticker
from trading_core.domain.money import Money
from trading_core.domain.orders import OrderState, OrderType, Side, TimeInForce

D = Decimal
LIMIT, MARKET = OrderType.LIMIT, OrderType.MARKET


async def test_a_market_order_takes_at_the_ask_after_the_latency() -> None:
    async with exchange([flat(0), bar(1, "101", "110", "90", "105")], half_spread="0.001") as x:
        assert (await x.broker.place(request("a"))).state is OrderState.OPEN
        assert await x.fills() == []
        x.clock.advance_to(at(1) + LATENCY)
        (fill,) = await x.fills()
        # 101 * 1.001 = 101.101, up to the tick; fee 0.2 % of the coin received
        assert (fill.trade_id, fill.price, fill.quantity, fill.at) == ("t-000001", D("101.11"), D(1), at(1) + LATENCY)
        assert fill.fee == Money(D("0.002"), "BTC")
        assert not fill.is_maker
        balances = await x.broker.balances()
        assert balances["BTC"] == Balance("BTC", D("0.998"), D(0))
        assert balances["USDT"] == Balance("USDT", D("99898.89"), D(0))
        assert (await x.report("a")).venue_order_id == "o-000001"


async def test_a_sale_takes_at_the_bid_and_pays_in_quote() -> None:
    async with exchange([flat(0), flat(1)], half_spread="0.00012") as x:
        await x.broker.place(request("a", quantity="2"))
        x.go(1.5)
        await x.broker.place(request("b", Side.SELL))
        x.go(1.6)
        fill = (await x.fills())[1]
        assert fill.price == D("99.98")  # 99.988 down to the tick
        assert fill.fee == Money(D("0.19996"), "USDT")


async def test_fees_in_quote_are_locked_and_taken_from_quote() -> None:
    async with exchange([flat(0), flat(1)], fee_currency=FeeCurrency.QUOTE) as x:
        await x.broker.place(request("a", kind=LIMIT, limit="90"))
        assert (await x.broker.balances())["USDT"].locked == D("90.18")
        await x.broker.place(request("b"))
        x.go(1.5)
        (fill,) = await x.fills()
        assert fill.fee == Money(D("0.2"), "USDT")
        assert (await x.broker.balances())["BTC"].total == D(1)


async def test_slippage_is_the_square_root_of_the_share_of_the_last_bar() -> None:
    rules = PaperRules(impact_coefficient=D("0.1"), jitter=D(0))
    async with exchange([flat(0, volume="400"), flat(1, volume="1")], rules=rules) as x:
        await x.broker.place(request("a", quantity="4"))
        x.go(1.5)
        (fill,) = await x.fills()
        assert fill.price == D(101)  # 100 * (1 + 0.1 * sqrt(4 / 400))


def test_luck_is_the_orders_own_and_never_good() -> None:
    rules = PaperRules(impact_coefficient=D(0), jitter=D("0.01"), seed=7)
    draws = [rules.slippage(D(1), D(100), f"c{i}") for i in range(200)]
    assert draws == [rules.slippage(D(5), D(100), f"c{i}") for i in range(200)]
    assert all(0 <= draw < D("0.01") for draw in draws)
    assert len(set(draws)) == 200
    assert draws[0] != PaperRules(impact_coefficient=D(0), jitter=D("0.01"), seed=8).slippage(D(1), D(100), "c0")


async def test_the_rest_of_a_market_order_goes_on_at_the_next_opens() -> None:
    bars = [flat(0, volume="100"), flat(1, "101", "50"), flat(2, "102", "200"), flat(3, "103")]
    async with exchange(bars) as x:
        await x.broker.place(request("a", quantity="20"))
        x.go(4)
        # 10 % of each last closed bar: 100, then 50, then 200
        assert [(f.quantity, f.price, f.at) for f in await x.fills()] == [
            (D(10), D(101), at(1) + LATENCY),
            (D(5), D(102), at(2)),
            (D(5), D(103), at(3)),
        ]
        assert (await x.report("a")).state is OrderState.FILLED


async def test_two_orders_of_one_side_share_what_a_bar_allows() -> None:
    async with exchange([flat(0, volume="100"), flat(1), flat(2)]) as x:
        await x.broker.place(request("a", quantity="8"))
        await x.broker.place(request("b", quantity="8"))
        x.go(1.5)
        assert [f.quantity for f in await x.fills()] == [D(8), D(2)]


async def test_the_rest_of_an_immediate_order_is_cancelled() -> None:
    async with exchange([flat(0, volume="100"), flat(1), flat(2)]) as x:
        await x.broker.place(request("a", quantity="20", tif=TimeInForce.IOC))
        await x.broker.place(request("b", kind=LIMIT, limit="90", tif=TimeInForce.IOC))
        x.go(3)
        report = await x.report("a")
        assert (report.state, report.filled, report.updated_at) == (OrderState.CANCELLED, D(10), at(1) + LATENCY)
        assert (await x.report("b")).state is OrderState.CANCELLED
        assert (await x.broker.balances())["USDT"].locked == 0


async def test_in_a_gap_nobody_trades_and_a_market_order_waits_for_the_next_open() -> None:
    async with exchange([flat(0), flat(3, "120"), flat(4, "130")]) as x:
        await x.broker.place(request("a"))
        await x.broker.place(request("b", tif=TimeInForce.IOC))
        x.go(3)
        assert await x.fills() == []
        assert (await x.report("b")).state is OrderState.CANCELLED
        x.go(3.5)
        assert [(f.price, f.at) for f in await x.fills()] == [(D(120), at(3))]


async def test_a_marketable_limit_takes_and_never_pays_more_than_its_limit() -> None:
    rules = PaperRules(impact_coefficient=D("0.5"), jitter=D(0))
    async with exchange([flat(0), flat(1)], rules=rules) as x:
        await x.broker.place(request("a", kind=LIMIT, quantity="10", limit="103"))
        await x.broker.place(request("b", kind=LIMIT, quantity="0.1", limit="103"))
        x.go(1.5)
        first, second = await x.fills()
        assert first.price == D(103)  # impact asks for 105
        assert second.price == D("100.5")
        assert not first.is_maker


@pytest.mark.parametrize(("low", "filled"), [("95.00", False), ("94.99", True)])
async def test_a_resting_limit_fills_only_when_the_price_goes_through_it(low: str, filled: bool) -> None:
    async with exchange([flat(0), bar(1, "100", "100", low, "100", "50")]) as x:
        await x.broker.place(request("a", kind=LIMIT, quantity="8", limit="95"))
        x.go(2)
        # never better than its limit, maker fee 0.1 %, 10 % of the bar's own volume
        expected = [(D(95), D(5), at(2), True, Money(D("0.005"), "BTC"))] if filled else []
        assert [(f.price, f.quantity, f.at, f.is_maker, f.fee) for f in await x.fills()] == expected


@pytest.mark.parametrize(("minutes", "filled_in"), [(0.5, 2), (0.7, 3)])
async def test_a_limit_that_arrives_late_in_a_bar_waits_for_the_next(minutes: float, filled_in: int) -> None:
    dip = ("100", "100", "90", "100")
    async with exchange([flat(0), bar(1, *dip), bar(2, *dip)]) as x:
        x.clock.advance_to(at(1) + timedelta(minutes=minutes))  # 1 % of the bar is 0.6 minutes
        await x.broker.place(request("a", kind=LIMIT, limit="95"))
        x.go(3)
        assert [f.at for f in await x.fills()] == [at(filled_in)]


async def test_a_post_only_order_never_takes() -> None:
    async with exchange([flat(0), flat(1, "97"), flat(2)]) as x:
        with pytest.raises(OrderRefused, match="would take"):
            await x.broker.place(request("a", kind=LIMIT, limit="100", tif=TimeInForce.POST_ONLY))
        await x.broker.place(request("b", kind=LIMIT, limit="98", tif=TimeInForce.POST_ONLY))
        x.go(1.5)
        assert (await x.report("b")).state is OrderState.CANCELLED
        assert await x.fills() == []


async def test_a_cancel_takes_its_time_and_can_lose_the_race() -> None:
    async with exchange([flat(0), bar(1, "100", "100", "90", "100"), flat(2)]) as x:
        await x.broker.place(request("lost", kind=LIMIT, limit="95"))
        await x.broker.place(request("won", kind=LIMIT, limit="80"))
        x.clock.advance_to(at(2) - LATENCY / 2)
        for order_id in ("lost", "won"):
            report = await x.broker.cancel(order_id, BTC)
            assert report.state is OrderState.OPEN
            assert "cancel asked" in report.reason
        x.go(2.5)
        assert (await x.report("lost")).state is OrderState.FILLED
        won = await x.report("won")
        assert (won.state, won.updated_at) == (OrderState.CANCELLED, at(2) + LATENCY / 2)
        assert (await x.broker.cancel("won", BTC)) == won


async def test_without_latency_orders_and_cancels_act_at_once() -> None:
    rules = PaperRules(latency=timedelta(0), impact_coefficient=D(0), jitter=D(0))
    async with exchange([flat(0), flat(1, "101")], rules=rules, start=1.25) as x:
        assert (await x.broker.place(request("a"))).state is OrderState.FILLED
        await x.broker.place(request("b", kind=LIMIT, limit="90"))
        assert (await x.broker.cancel("b", BTC)).state is OrderState.CANCELLED


async def test_on_a_bars_boundary_an_order_meets_the_next_open() -> None:
    rules = PaperRules(latency=timedelta(0), impact_coefficient=D(0), jitter=D(0))
    async with exchange([flat(0), flat(1, "101")], rules=rules) as x:
        assert (await x.broker.place(request("a"))).state is OrderState.OPEN
        x.go(1.01)
        assert [f.price for f in await x.fills()] == [D(101)]


async def test_buys_lock_quote_and_sales_lock_base() -> None:
    async with exchange([flat(0), flat(1)]) as x:
        await x.broker.place(request("a", quantity="2"))
        assert (await x.broker.balances())["USDT"] == Balance("USDT", D(99790), D(210))  # 2 * 100 * 1.05
        x.go(1.5)
        await x.broker.place(request("b", Side.SELL, LIMIT, "1.5", limit="150"))
        await x.broker.place(request("c", kind=LIMIT, quantity="3", limit="80"))
        balances = await x.broker.balances()
        assert (balances["BTC"].free, balances["BTC"].locked) == (D("0.496"), D("1.5"))
        assert balances["USDT"].locked == D(240)


async def test_what_the_balance_does_not_pay_for_is_cancelled_not_overdrawn() -> None:
    # The open doubles between the order and its arrival: 105 locked for each, 200 asked.
    async with exchange([flat(0), flat(1, "200")], deposit=Money(D(250), "USDT")) as x:
        await x.broker.place(request("a", quantity="2"))
        x.go(1.5)
        (fill,) = await x.fills()
        assert fill.quantity == D("0.421")  # 40 free / 95 short for each = 0.42105
        report = await x.report("a")
        assert report.state is OrderState.CANCELLED
        assert "does not pay" in report.reason
        assert await x.free("USDT") == D(250) - D("0.421") * 200


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        (request("x", symbol="DOGE/USDT"), "does not trade here"),
        (request("x", quantity="1.0005"), "lot size"),
        (request("x", quantity="0.005"), "notional"),
        (request("x", kind=LIMIT, limit="90.005"), "tick size"),
        (request("x", kind=LIMIT), "needs a limit price"),
        (request("x", limit="90"), "takes no limit price"),
        (request("x", kind=OrderType.STOP), "needs a stop price"),
        (request("x", tif=TimeInForce.POST_ONLY), "post-only"),
        (request("x", kind=OrderType.STOP, stop="110", tif=TimeInForce.IOC), "immediate-or-cancel"),
        (request("", quantity="1"), "client order id is empty"),
        (request("x", reduce_only=True), "reduce-only"),
        (request("x", Side.SELL, quantity="3", reduce_only=True), "reduce-only sale of 3 BTC and only 1.996 are held"),
        (request("x", Side.SELL, quantity="2"), "2 BTC are needed and 1.996 are free"),
        (request("x", quantity="1000"), "105000 USDT are needed"),
        (request("x", Side.SELL, OrderType.STOP, stop="100"), "would trigger immediately"),
        (request("x", Side.BUY, OrderType.STOP, stop="100"), "would trigger immediately"),
        (request("first"), "'first' has been used before"),
    ],
)
async def test_refusals(order: object, reason: str) -> None:
    async with exchange([flat(0), flat(1)]) as x:
        await x.broker.place(request("first", quantity="2"))
        x.go(1.5)
        before = await x.broker.balances()
        with pytest.raises(OrderRefused, match=reason):
            await x.broker.place(order)
        assert await x.broker.balances() == before
        assert list(await x.broker.open_orders()) == []


async def test_a_feed_that_is_down_is_an_unknown_account_and_no_order() -> None:
    async with exchange([flat(0), flat(1), flat(2)]) as x:
        await x.broker.place(request("a"))
        x.go(2.5)
        x.feed.broken = True
        with pytest.raises(BrokerUnavailable):
            await x.broker.balances()
        with pytest.raises(OrderRefused, match="no market data"):
            await x.broker.place(request("b"))
        x.feed.broken = False
        assert len(await x.fills()) == 1
        assert await x.broker.order("b", BTC) is None


@pytest.mark.parametrize(
    "wrong", [{"participation": D(0)}, {"jitter": D(-1)}, {"latency": timedelta(seconds=-1)}, {"market_buffer": D("NaN")}]
)
def test_rules_that_would_flatter_or_never_fill_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        PaperRules(**wrong)


async def test_a_broker_that_is_not_open_says_so() -> None:
    async with exchange([flat(0)], rules=PLAIN) as x:
        broker = x.broker
    with pytest.raises(ConfigurationError, match="not open"):
        await broker.balances()


async def test_a_feed_without_past_quotes_serves_late_in_the_bar_and_at_the_opens_bars_tell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with exchange([flat(0), flat(1, "101"), flat(2, "102"), flat(3, "103")]) as x:
        remembered = x.feed.ticker

        async def present_only(symbol: str, *, as_of: datetime) -> Ticker | None:
            if as_of < x.clock.now():
                raise MarketDataUnavailable("a live feed has no past quotes")
            return await remembered(symbol, as_of=as_of)

        monkeypatch.setattr(x.feed, "ticker", present_only)
        await x.broker.place(request("a"))
        x.go(1.5)
        await x.fills()
        await x.broker.place(request("b"))
        x.go(3)
        # b arrived in a bar that is over: it takes at the next open, 102, with the assumed half spread of 5 bp
        assert [(f.price, f.at) for f in await x.fills()] == [(D(101), at(1.5)), (D("102.06"), at(2))]
