"""What holds for the paper exchange whatever is ordered and whatever the market does."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.feeds import START, BarFeed, bar
from tests.unit.paper_exchange import BTC, DEPOSIT, ETH, at, instrument
from trading_core.brokers.paper.broker import PaperBroker
from trading_core.brokers.paper.rules import PaperRules
from trading_core.brokers.paper.store import PaperStore
from trading_core.domain.clock import SimulatedClock
from trading_core.domain.errors import OrderRefused
from trading_core.domain.instruments import FeeCurrency
from trading_core.domain.market import Bar, Timeframe
from trading_core.domain.money import ONE, ZERO
from trading_core.domain.orders import Fill, OrderRequest, OrderType, Side, TimeInForce
from trading_core.domain.portfolio import Portfolio

BARS = 10
HALF_SPREAD = Decimal("0.0003")
RULES = PaperRules(seed=3)
CENT = Decimal("0.01")


@dataclass(frozen=True)
class Cancel:
    client_order_id: str
    symbol: str


Action = tuple[int, OrderRequest | Cancel]  # seconds after START

_cents = st.integers(8000, 12000).map(lambda n: Decimal(n) / 100)


@st.composite
def markets(draw: st.DrawFn) -> list[Bar]:
    """Hourly bars around 100, some missing, some without volume; the first is always there."""
    bars = []
    for index in range(BARS):
        prices = sorted(draw(st.lists(_cents, min_size=4, max_size=4)))
        o, c = draw(st.permutations(prices[1:3]))
        volume = draw(st.sampled_from(["0", "3.7", "50", "1000"])) if index else "1000"
        if index == 0 or draw(st.integers(0, 5)):
            bars.append(bar(index, str(o), str(prices[3]), str(prices[0]), str(c), volume))
    return bars


@st.composite
def actions(draw: st.DrawFn) -> list[Action]:
    moments = sorted(draw(st.lists(st.integers(3601, BARS * 3600), min_size=1, max_size=12)))
    # Decisions like to fall on the very boundary of two bars.
    moments = sorted(second // 3600 * 3600 if draw(st.booleans()) else second for second in moments)
    # Something to sell from the start.
    made: list[Action] = [
        (3600, OrderRequest(f"entry-{symbol}", symbol, Side.BUY, OrderType.MARKET, Decimal(60))) for symbol in (BTC, ETH)
    ]
    for number, second in enumerate(moments):
        if number and not draw(st.integers(0, 4)):
            target = draw(st.integers(0, number - 1))
            made.append((second, Cancel(f"c{target}", draw(st.sampled_from([BTC, ETH])))))
            continue
        kind = draw(st.sampled_from(OrderType))
        made.append(
            (
                second,
                OrderRequest(
                    f"c{number}",
                    draw(st.sampled_from([BTC, ETH])),
                    draw(st.sampled_from(Side)),
                    kind,
                    Decimal(draw(st.sampled_from(["0.5", "2.345", "40", "700"]))),
                    draw(_cents) if kind in (OrderType.LIMIT, OrderType.STOP_LIMIT) else None,
                    draw(_cents) if kind in (OrderType.STOP, OrderType.STOP_LIMIT) else None,
                    draw(st.sampled_from([TimeInForce.GTC, TimeInForce.GTC, *TimeInForce])),
                ),
            )
        )
    return made


@dataclass(frozen=True)
class Outcome:
    taken: tuple[OrderRequest, ...]
    placed: dict[str, int]
    fills: Sequence[Fill]
    filled: dict[str, Decimal]
    totals: dict[str, Decimal]


async def _simulate(
    bars: dict[str, list[Bar]], todo: Sequence[Action], looks: Sequence[int] = (), fees: FeeCurrency = FeeCurrency.RECEIVED
) -> Outcome:
    """Run actions, looking at the account at the seconds in `looks` too; in the end everything is cancelled."""
    feed = BarFeed([instrument(BTC, fees), instrument(ETH, fees)], bars, half_spread=str(HALF_SPREAD))
    clock = SimulatedClock(at(1))
    broker = PaperBroker(feed, clock, Timeframe("1h"), account_id="p", deposit=DEPOSIT, store=PaperStore(), rules=RULES)
    taken: list[OrderRequest] = []
    placed: dict[str, int] = {}
    steps: list[tuple[int, OrderRequest | Cancel | None]] = sorted([*todo, *((s, None) for s in looks)], key=lambda step: step[0])
    async with broker:
        for second, action in steps:
            clock.advance_to(START + timedelta(seconds=second))
            try:
                if isinstance(action, Cancel):
                    await broker.cancel(action.client_order_id, action.symbol)
                elif action is not None:
                    await broker.place(action)
                    taken.append(action)
                    placed[action.client_order_id] = second
            except OrderRefused:
                pass
            if action is None or not looks:
                assert all(b.free >= 0 and b.locked >= 0 for b in (await broker.balances()).values())
        clock.advance_to(at(BARS + 1))
        for report in await broker.open_orders():
            await broker.cancel(report.client_order_id, report.symbol)
        clock.advance_to(at(BARS + 2))
        assert list(await broker.open_orders()) == []
        balances = await broker.balances()
        assert all(balance.locked == 0 and balance.free >= 0 for balance in balances.values())
        filled = {}
        for request in taken:
            report = await broker.order(request.client_order_id, request.symbol)
            assert report is not None
            filled[request.client_order_id] = report.filled
        fills = await broker.fills(since=START)
        return Outcome(tuple(taken), placed, fills, filled, {asset: b.total for asset, b in balances.items()})


def _run(*arguments: object, **named: object) -> Outcome:
    return asyncio.run(_simulate(*arguments, **named))


@settings(max_examples=80, deadline=None)
@given(markets(), markets(), actions(), st.sampled_from(FeeCurrency))
def test_the_venues_books_balance(btc: list[Bar], eth: list[Bar], todo: list[Action], fees: FeeCurrency) -> None:
    outcome = _run({BTC: btc, ETH: eth}, todo, fees=fees)
    for request in outcome.taken:
        mine = [fill.quantity for fill in outcome.fills if fill.client_order_id == request.client_order_id]
        assert sum(mine, ZERO) == outcome.filled[request.client_order_id] <= request.quantity
    instruments = {symbol: instrument(symbol, fees) for symbol in (BTC, ETH)}
    folded = Portfolio.opened("p", "USDT", DEPOSIT.amount).after_all(outcome.fills, instruments)
    assert {asset: total for asset, total in folded.balances.items() if total} == outcome.totals


@settings(max_examples=80, deadline=None)
@given(markets(), actions())
def test_no_fill_is_early_or_kind(btc: list[Bar], todo: list[Action]) -> None:
    outcome = _run({BTC: btc, ETH: btc}, todo)
    requests = {request.client_order_id: request for request in outcome.taken}
    trades: dict[tuple[object, ...], Decimal] = {}
    for fill in outcome.fills:
        request = requests[fill.client_order_id]
        arrived = START + timedelta(seconds=outcome.placed[fill.client_order_id]) + RULES.latency
        assert fill.at >= arrived
        # A fill at a boundary belongs to the bar that closed then or to the one that opened then.
        around = [b for b in btc if b.opened_at <= fill.at <= b.opened_at + timedelta(hours=1)]
        assert around, "nobody trades in a gap"
        worst = RULES.impact_coefficient * RULES.participation.sqrt() + RULES.jitter
        low = min(b.low for b in around) * (ONE - HALF_SPREAD) * (ONE - worst) - CENT
        high = max(b.high for b in around) * (ONE + HALF_SPREAD) * (ONE + worst) + CENT
        # A resting order keeps its own price, even where the whole bar traded at better ones.
        assert fill.is_maker or low <= fill.price <= high
        best, limit = (min(b.low for b in around), max(b.high for b in around)), request.limit_price
        assert fill.price >= best[0] if fill.side is Side.BUY else fill.price <= best[1]
        if limit is not None:
            assert fill.price <= limit if fill.side is Side.BUY else fill.price >= limit
        if fill.is_maker:
            assert fill.price == limit
        key = (fill.symbol, fill.side, fill.at, fill.is_maker)
        trades[key] = trades.get(key, ZERO) + fill.quantity
    assert all(quantity <= 2 * 1000 * RULES.participation for quantity in trades.values())


@settings(max_examples=80, deadline=None)
@given(markets(), markets(), actions(), st.lists(st.integers(3600, (BARS + 1) * 3600), max_size=30))
def test_when_the_venue_is_looked_at_changes_nothing(
    btc: list[Bar], eth: list[Bar], todo: list[Action], looks: list[int]
) -> None:
    bars = {BTC: btc, ETH: eth}
    outcome = _run(bars, todo)
    assert outcome == _run(bars, todo)
    on_the_hour = [look // 3600 * 3600 for look in looks]
    assert outcome == _run(bars, todo, [max(3600, look) for look in looks + on_the_hour])


@settings(max_examples=40, deadline=None)
@given(markets(), markets(), actions(), st.integers(1, BARS - 1))
def test_the_future_changes_no_fill_of_the_past(btc: list[Bar], other: list[Bar], todo: list[Action], hour: int) -> None:
    """Everything that opens after `hour` is another market; what was filled up to then stays the same."""
    mixed = [b for b in btc if b.opened_at < at(hour)] + [b for b in other if b.opened_at >= at(hour)]
    early = [action for action in todo if action[0] <= hour * 3600]
    one, two = _run({BTC: btc, ETH: btc}, early), _run({BTC: mixed, ETH: mixed}, early)
    # Stamps of the instant itself may be the next bar's open.
    assert [f for f in one.fills if f.at < at(hour)] == [f for f in two.fills if f.at < at(hour)]
