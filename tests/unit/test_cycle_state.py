"""What a checkpoint holds comes back with its types, and nothing else comes back at all."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from agents.answers import MarketView, RebalancePlan, RiskVerdict, Signal, TargetWeight
from graph.state import CycleState, merge, serializer
from trading_core.domain.intents import TradeIntent, Verdict
from trading_core.domain.orders import OrderType, Purpose, Side, TimeInForce

VIEW = MarketView(
    abstain=False,
    trend="up",
    regime="trending",
    sentiment="unavailable",
    onchain="unavailable",
    support=None,
    resistance=70_000.5,
    confidence=0.6,
    reason="Because.",
)
SIGNAL = Signal(action="enter", order_type="market", limit_price=None, stop_price=61_000.0, conviction=0.6, reason="Because.")
INTENT = TradeIntent(
    intent_id="a" * 64,
    run_id="r",
    account_id="paper",
    proposer="agent:risk",
    purpose=Purpose.ENTRY,
    symbol="BTC/USDT",
    side=Side.BUY,
    quantity=Decimal("0.10000000000000000001"),
    type=OrderType.LIMIT,
    created_at=datetime(2025, 3, 3, 9, 0, 0, 1, tzinfo=UTC),
    limit_price=Decimal("63000.10"),
    stop_price=Decimal(61000),
    time_in_force=TimeInForce.IOC,
    evidence=("e1a2b3c4d",),
)


def test_a_state_comes_back_with_its_types() -> None:
    state: CycleState = {
        "run_id": "r",
        "as_of": datetime(2025, 3, 3, 9, tzinfo=UTC),
        "snapshot_hash": "f" * 64,
        "symbols": ["BTC/USDT"],
        "rebalance": True,
        "views": {"BTC/USDT": VIEW},
        "signals": {"BTC/USDT": SIGNAL},
        "rebalancing": RebalancePlan(
            abstain=False, targets=[TargetWeight(symbol="BTC/USDT", weight=0.2)], turnover=0.05, reason=""
        ),
        "sizes": {"BTC/USDT": RiskVerdict(symbol="BTC/USDT", verdict="take", risk_fraction=0.01, reason="")},
        "intents": [INTENT],
        "verdicts": {INTENT.intent_id: Verdict.NEEDS_APPROVAL},
        "orders": ["at1"],
    }
    again = serializer().loads_typed(serializer().dumps_typed(state))
    assert again == state
    assert type(again["intents"][0].quantity) is Decimal
    assert again["intents"][0].content_hash == INTENT.content_hash
    assert again["verdicts"][INTENT.intent_id] is Verdict.NEEDS_APPROVAL
    assert again["as_of"].tzinfo is not None


@dataclass
class Foreign:
    """A class of nobody's list."""

    value: int


def test_a_class_that_is_not_on_the_list_is_not_brought_back_to_life(caplog: pytest.LogCaptureFixture) -> None:
    brought_back = serializer().loads_typed(serializer().dumps_typed({"x": Foreign(1)}))
    assert not isinstance(brought_back["x"], Foreign)


def test_branches_that_ran_side_by_side_both_count() -> None:
    assert merge({"a": 1}, {"b": 2}) == {"a": 1, "b": 2}
