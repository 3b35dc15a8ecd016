"""Events as JSON: amounts are text, instants are ISO 8601, and what is large is summed up."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any

from pydantic import BaseModel

from agents.outcome import Outcome
from graph.events import RunEvent
from trading_core.domain.clock import iso
from trading_core.domain.intents import RiskDecision, TradeIntent
from trading_core.domain.money import Money, plain
from trading_core.domain.orders import Fill, Order
from trading_core.domain.snapshot import Snapshot
from trading_core.execution.quality import ExecutionQuality

_LONGEST_TEXT = 8_000  # characters of one text in an event; a tool can answer with a book


def as_json(event: RunEvent) -> dict[str, object]:
    """What an event tells, for the log and for whoever follows it. Every kind has its fields; none holds a secret."""
    return {name: jsonable(value) for name, value in event.data.items()}


def jsonable(value: object) -> object:
    """A value of the domain in JSON."""
    if value is None or isinstance(value, bool | int | float):
        return value
    for kind, told in _TOLD.items():
        if isinstance(value, kind):
            return told(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: jsonable(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, Collection):
        return [jsonable(item) for item in value]
    return str(value)[:_LONGEST_TEXT]


def order_json(order: Order) -> dict[str, object]:
    """An order with its request in one piece; `average_price` and `slippage` are of what was filled."""
    request = {item.name: jsonable(getattr(order.request, item.name)) for item in fields(order.request)}
    own = {item.name: jsonable(getattr(order, item.name)) for item in fields(order) if item.name != "request"}
    return {**request, **own, "average_price": jsonable(order.average_price), "slippage": jsonable(order.slippage)}


def decision_json(decision: RiskDecision) -> dict[str, object]:
    """The gate's word with every check, and the codes of those that failed."""
    return {
        "intent_id": decision.intent_id,
        "verdict": decision.verdict.value,
        "reason_codes": list(decision.reason_codes),
        "checks": [jsonable(check) for check in decision.checks],
        "decided_at": iso(decision.decided_at),
    }


def _intent(intent: TradeIntent) -> dict[str, object]:
    own: dict[str, object] = {item.name: jsonable(getattr(intent, item.name)) for item in fields(intent)}
    return {**own, "content_hash": intent.content_hash}


def _fill(fill: Fill) -> dict[str, object]:
    own: dict[str, object] = {item.name: jsonable(getattr(fill, item.name)) for item in fields(fill)}
    return {**own, "notional": plain(fill.notional)}


def _quality(quality: ExecutionQuality) -> dict[str, object]:
    order = quality.order
    return {
        "client_order_id": order.client_order_id,
        "symbol": order.symbol,
        "side": order.side.value,
        "purpose": order.purpose.value,
        "reference_price": jsonable(quality.reference_price),
        "average_price": jsonable(quality.average_price),
        "slippage": jsonable(quality.slippage),
        "fill_ratio": jsonable(quality.fill_ratio),
    }


def _snapshot(snapshot: Snapshot) -> dict[str, object]:
    """What the run knows, without the bars."""
    return {
        "hash": snapshot.content_hash,
        "as_of": iso(snapshot.as_of),
        "timeframe": str(snapshot.timeframe),
        "symbols": list(snapshot.symbols),
        "prices": jsonable(snapshot.prices),
        "cash": plain(snapshot.portfolio.cash),
        "state": snapshot.state,
        "drawdown": plain(snapshot.drawdown),
    }


def _outcome(outcome: Outcome[Any]) -> dict[str, object]:
    return {
        "agent": outcome.agent,
        "subject": outcome.subject,
        "answer": jsonable(outcome.answer),
        "abstained": outcome.abstained,
        "why": outcome.why,
        "problems": list(outcome.problems),
        "evidence": [{"id": one.id, "tool": one.tool, "arguments": jsonable(one.arguments)} for one in outcome.evidence],
        "cites": list(outcome.cites),
        "usage": jsonable(outcome.usage),
        "model": outcome.model,
        "reused": outcome.reused,
        "seconds": round(outcome.seconds, 3),
    }


_TOLD: dict[type, Callable[[Any], object]] = {
    Enum: lambda value: value.value,
    str: lambda value: value[:_LONGEST_TEXT],
    Decimal: plain,
    datetime: iso,
    timedelta: lambda value: value.total_seconds(),
    Money: lambda value: {"amount": plain(value.amount), "currency": value.asset},
    BaseModel: lambda value: value.model_dump(mode="json"),
    Order: order_json,
    RiskDecision: decision_json,
    TradeIntent: _intent,
    Fill: _fill,
    ExecutionQuality: _quality,
    Snapshot: _snapshot,
    Outcome: _outcome,
}
