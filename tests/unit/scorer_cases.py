"""Trajectories made by hand: one cycle of one scenario, in which everything was right, and functions to put it otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from evals.schema import Scenario
from evals.trajectory import Aftermath, Asked, ToolUse, Trajectory
from tools.context import Evidence
from trading_core.domain.intents import Check, RiskDecision, TradeIntent, Verdict
from trading_core.domain.money import Money
from trading_core.domain.orders import Fill, Order, OrderRequest, OrderState, OrderType, Purpose, Side
from trading_core.domain.portfolio import Portfolio
from trading_core.domain.positions import Position
from trading_core.persistence.records import EvidenceRecord, IntentTrail, OrderTrail, RunKind, RunRecord, RunTrail

D = Decimal
BTC, ETH = "BTC/USDT", "ETH/USDT"
NOW = datetime(2024, 5, 1, tzinfo=UTC)
RUN = "run-1"
FACTS = Evidence.of("get_indicators", {"symbol": BTC}, {"symbol": BTC, "last_close": 100.5, "rsi_14": 61.2})
LIMITS = Evidence.of("get_limits", {}, {"limits": {"risk_per_trade": "0.02", "max_position": "0.25"}})
EVIDENCE = (FACTS, LIMITS)


def scenario(symbols: Sequence[str] = (BTC,), **changes: Any) -> Scenario:
    """A trend in which one may enter or hold."""
    given: dict[str, Any] = {
        "id": "by-hand",
        "title": "By hand",
        "category": "trend",
        "why": "Scorers are tried on it.",
        "markets": [{"symbol": symbol, "segments": [{"bars": 10}]} for symbol in symbols],
        "acceptable": {symbol: {"actions": ["enter", "hold"]} for symbol in symbols},
    }
    return Scenario.model_validate({**given, **changes})


def view(
    trend: str = "up", confidence: float = 0.6, reason: str = f"Close 100.5 [{FACTS.id}].", **changes: Any
) -> dict[str, Any]:
    return {
        "abstain": False, "trend": trend, "regime": "trending", "sentiment": "unavailable", "onchain": "unavailable",
        "support": None, "resistance": None, "confidence": confidence, "reason": reason, **changes,
    }  # fmt: skip


def signal(action: str = "hold", conviction: float = 0.5, reason: str = f"RSI(14) 61.2 [{FACTS.id}].") -> dict[str, Any]:
    return {
        "action": action, "order_type": "market", "limit_price": None, "stop_price": 90.0 if action == "enter" else None,
        "conviction": conviction, "reason": reason,
    }  # fmt: skip


def asked(agent: str, answer: Mapping[str, Any] | None, subject: str = BTC, **changes: Any) -> Asked:
    """One answer that cost a cent and took a second. Without an answer the agent failed."""
    abstained = answer is None or bool(answer.get("abstain")) or answer.get("action") == "abstain"
    plain = Asked(RUN, agent, subject, answer, abstained, "", (), 0, 1, 100, 10, 1.0, D("0.01"))
    return replace(plain, **changes)


def used(
    tool: str = "get_bars", *, agent: str = "signal", opening: bool = False, failed: bool = False, **arguments: Any
) -> ToolUse:
    return ToolUse(RUN, agent, BTC, tool, arguments or {"symbol": BTC}, opening, failed)


def order(
    purpose: Purpose = Purpose.ENTRY, symbol: str = BTC, quantity: int | str = 1, price: int | str = 100, run: str = RUN
) -> OrderTrail:
    """A filled order."""
    side, amount = (Side.BUY if purpose is Purpose.ENTRY else Side.SELL), D(quantity)
    request = OrderRequest(f"at-{purpose.value}-{symbol}", symbol, side, OrderType.MARKET, amount)
    made = Order(
        request, "paper", f"intent-{purpose.value}-{symbol}", run, purpose, NOW, OrderState.FILLED, amount, amount * D(price)
    )
    return OrderTrail(made, (), (Fill("t1", request.client_order_id, symbol, side, amount, D(price), Money(D(0), "USDT"), NOW),))


def intent(
    purpose: Purpose = Purpose.ENTRY, symbol: str = BTC, *, failed: Sequence[str] = (), stop: str | None = "90"
) -> IntentTrail:
    """An intent that the gate let pass, or denied for the checks in `failed`."""
    side = Side.BUY if purpose is Purpose.ENTRY else Side.SELL
    wanted = TradeIntent(
        f"intent-{purpose.value}-{symbol}", RUN, "paper", "agent:risk", purpose, symbol, side, D(1), OrderType.LIMIT, NOW,
        stop_price=None if stop is None else D(stop),
    )  # fmt: skip
    checks = [Check("lot_size", True, "1", "1"), *(Check(code, False, "2", "1") for code in failed)]
    verdict = Verdict.DENIED if failed else Verdict.APPROVED
    return IntentTrail(wanted, (RiskDecision(wanted.intent_id, verdict, checks, NOW),), None)


def run(
    *,
    id_: str = RUN,
    orders: Sequence[OrderTrail] = (),
    intents: Sequence[IntentTrail] = (),
    evidence: Sequence[Evidence] = EVIDENCE,
) -> RunTrail:
    kept = tuple(EvidenceRecord(id_, e.id, "signal", BTC, e.tool, e.arguments, dict(e.result), NOW) for e in evidence)
    return RunTrail(RunRecord(id_, "paper", RunKind.CYCLE, NOW, NOW), None, (), kept, tuple(intents), tuple(orders), None)


def account(cash: int | str = 1000, **held: int | str) -> Portfolio:
    """`account(500, BTC=5)` holds five BTC that cost nothing."""
    positions = {f"{base}/USDT": Position(f"{base}/USDT", D(quantity), D(0)) for base, quantity in held.items()}
    return Portfolio("paper", "USDT", D(1000), {"USDT": D(cash)}, positions)


def trajectory(**changes: Any) -> Trajectory:
    """A view and a signal to hold, both grounded; nothing was ordered, and the price then rose by 5 %."""
    plain = Trajectory(
        scenario=scenario(),
        model="by hand",
        repeat=0,
        runs=(run(),),
        asked=(asked("market_analysis", view()), asked("signal", signal())),
        tools=(used("get_indicators", opening=True),),
        before=account(),
        after=account(),
        prices={BTC: D(100), ETH: D(100)},
        aftermath=Aftermath(desk=1.02, held=1.05, rules=1.01, drawdown=0.03, moves={BTC: 0.05}),
    )
    return replace(plain, **changes)
