"""From wishes to exact intents: sizes come from plain rules, never from a model."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.answers import RebalancePlan, RiskVerdict, Signal, TargetWeight
from graph.proposals import IntentMaker, shown_to_execution, shown_to_risk
from trading_core.domain.instruments import Instrument
from trading_core.domain.market import Bar, Ticker, Timeframe
from trading_core.domain.money import Money
from trading_core.domain.orders import Fill, OrderType, Purpose, Side, TimeInForce
from trading_core.domain.portfolio import Portfolio
from trading_core.domain.snapshot import Snapshot

NOW = datetime(2025, 3, 3, 9, tzinfo=UTC)
BTC = Instrument("BTC/USDT", Decimal("0.01"), Decimal("0.00001"), Decimal("0.00001"), Decimal(5))
TICKER = Ticker("BTC/USDT", Decimal("59994"), Decimal("60006"), Decimal("60000"), NOW)
BAR = Bar(NOW, Decimal(60_000), Decimal(60_100), Decimal(59_900), Decimal(60_000), Decimal(10))


def snapshot(held: str = "0") -> Snapshot:
    portfolio = Portfolio.opened("paper", "USDT", Decimal(100_000))
    if Decimal(held):
        bought = Fill("t", "c", "BTC/USDT", Side.BUY, Decimal(held), Decimal(50_000), Money(Decimal(0), "USDT"), NOW)
        portfolio = portfolio.after(bought, BTC)
    return Snapshot(
        as_of=NOW,
        timeframe=Timeframe("1h"),
        symbols=("BTC/USDT",),
        instruments={"BTC/USDT": BTC},
        tickers={"BTC/USDT": TICKER},
        bars={"BTC/USDT": (BAR,)},
        channels={},
        portfolio=portfolio,
        open_orders=(),
        state="active",
        drawdown=Decimal(0),
        limits={},
        content_hash="f" * 64,
    )


def signal(**changes: object) -> Signal:
    base = {
        "action": "enter",
        "order_type": "market",
        "limit_price": None,
        "stop_price": 58_800.0,
        "conviction": 0.6,
        "reason": "RSI 40 [e1a2b3c4d]",
    }
    return Signal.model_validate({**base, **changes})


def take(fraction: float) -> RiskVerdict:
    return RiskVerdict(symbol="BTC/USDT", verdict="take", risk_fraction=fraction, reason="")


def maker(held: str = "0") -> IntentMaker:
    return IntentMaker("run", "paper", snapshot(held))


def test_an_entry_risks_what_was_asked_and_is_bounded_by_its_worst_price() -> None:
    intent = maker().entry("BTC/USDT", signal(), take(0.01), Decimal("0.02"), "agent:risk")
    assert intent is not None
    assert intent.type is OrderType.LIMIT
    assert intent.time_in_force is TimeInForce.IOC
    assert intent.limit_price == intent.worst_price == Decimal("60306.03"), "half a per cent above the ask"
    assert intent.stop_price == Decimal(58_800)
    assert intent.evidence == ("e1a2b3c4d",)
    lost = intent.quantity * (intent.limit_price - intent.stop_price + BTC.taker_fee * (intent.limit_price + intent.stop_price))
    assert Decimal(999) < lost <= Decimal(1_000), "one per cent of 100,000, fees both ways included"


def test_a_limit_entry_waits_at_its_price() -> None:
    wish = signal(order_type="limit", limit_price=59_500.127)
    intent = maker().entry("BTC/USDT", wish, take(0.01), Decimal("0.02"), "agent:risk")
    assert intent is not None
    assert (intent.limit_price, intent.time_in_force) == (Decimal("59500.12"), TimeInForce.GTC)


@given(fraction=st.floats(0, 0.1), stop=st.floats(0.01, 100_000), limit=st.decimals("0.001", "0.02"))
def test_no_answer_of_a_model_risks_more_than_the_limit(fraction: float, stop: float, limit: Decimal) -> None:
    intent = maker().entry("BTC/USDT", signal(stop_price=stop), take(fraction), limit, "agent:risk")
    if intent is not None:
        assert intent.limit_price is not None
        assert intent.stop_price is not None
        assert 0 < intent.stop_price < intent.limit_price
        assert intent.quantity * (intent.limit_price - intent.stop_price) <= 100_000 * limit


def test_a_stop_above_the_price_is_no_entry() -> None:
    assert maker().entry("BTC/USDT", signal(stop_price=70_000.0), take(0.01), Decimal("0.02"), "agent:risk") is None


def test_an_exit_sells_all_but_dust() -> None:
    intent = maker("0.1000099").exit("BTC/USDT", signal(action="exit"), "agent:risk")
    assert intent is not None
    assert (intent.side, intent.quantity, intent.type) == (Side.SELL, Decimal("0.1"), OrderType.MARKET)
    assert maker("0.00001").exit("BTC/USDT", signal(action="exit"), "agent:risk") is None


def test_rebalancing_trims_and_leaves_small_differences_alone() -> None:
    trimmed = maker("1").rebalance("BTC/USDT", 0.3, "agent:rebalancing", "")
    assert trimmed is not None
    assert trimmed.purpose is Purpose.REBALANCE
    assert trimmed.side is Side.SELL
    weight = snapshot("1").weight("BTC/USDT")
    equity = Decimal(110_000)
    assert trimmed.quantity == BTC.floor_quantity((weight - Decimal("0.3")) * equity / 60_000)
    assert maker("1").rebalance("BTC/USDT", float(weight) + 0.001, "agent:rebalancing", "") is None
    assert maker("1").rebalance("BTC/USDT", 0.9, "agent:rebalancing", "") is None, "no buy without a stop to share"
    assert maker("0").rebalance("BTC/USDT", 0.3, "agent:rebalancing", "") is None, "it never opens a position"


def test_no_entry_whose_stop_the_venue_would_not_take() -> None:
    """A stop is valued at its own price: a million times below the market it is worth no order, and would protect nothing."""
    assert maker().entry("BTC/USDT", signal(stop_price=0.06), take(0.01), Decimal("0.02"), "agent:risk") is None


def test_the_same_run_purpose_and_symbol_give_the_same_id() -> None:
    first, second = (maker("1").exit("BTC/USDT", signal(action="exit"), "agent:risk") for _ in range(2))
    assert first is not None
    assert second is not None
    assert first.intent_id == second.intent_id
    assert first.content_hash == second.content_hash


def test_what_the_risk_agent_reads() -> None:
    plan = RebalancePlan(abstain=False, targets=[TargetWeight(symbol="BTC/USDT", weight=0.2)], turnover=0.1, reason="")
    leaving = {"BTC/USDT": signal(action="exit", stop_price=None), "ETH/USDT": signal(action="hold")}
    shown = shown_to_risk(snapshot("1"), leaving, plan)
    assert shown["signals"] == [
        {"symbol": "BTC/USDT", "action": "exit", "price": 60_000.0, "conviction": 0.6, "reason": "RSI 40 [e1a2b3c4d]"}
    ]
    assert shown["rebalancing"] == [], "a symbol is shown once: rebalancing gives way to a signal"
    (entering,) = shown_to_risk(snapshot("1"), {"BTC/USDT": signal()}, None)["signals"]
    assert entering["stop_distance_percent"] == 2.0
    assert entering["round_trip_fees_percent"] == 0.2
    staying = shown_to_risk(snapshot("1"), {"BTC/USDT": signal(action="hold")}, plan)
    assert staying["rebalancing"] == [{"symbol": "BTC/USDT", "from_weight": pytest.approx(0.545454, abs=1e-6), "to_weight": 0.2}]


def test_what_the_execution_agent_reads() -> None:
    intent = maker().entry("BTC/USDT", signal(), take(0.01), Decimal("0.02"), "agent:risk")
    assert intent is not None
    rows = shown_to_execution(snapshot(), [replace(intent, quantity=Decimal("0.5"))])["orders"]
    assert isinstance(rows, list)
    assert rows[0]["spread_bps"] == 2.0
    assert rows[0]["share_of_bar_volume"] == 0.05
