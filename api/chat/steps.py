"""Steps of a cycle or an order, as the API tells them, in a line each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from rich.console import RenderableType

from api.chat.cards import failed
from api.chat.client import Event
from api.console.screen import Line
from api.console.text import amount, base, basis_points, clean, exact, measure, price, reason
from trading_core.domain.orders import OrderState

Data = Mapping[str, Any]
_LABEL = {"market_analysis": "analysis"}
_HEAD = ("trend", "regime", "action", "verdict", "conviction", "confidence")  # of an answer, before its reason


def step_lines(event: Event) -> list[RenderableType]:
    """What a step is worth telling; nothing for those that only another program wants."""
    told = _TOLD.get(event.kind)
    return [] if told is None else told(event.data)


def _snapshot(data: Data) -> list[RenderableType]:
    shot = data["snapshot"]
    prices = ", ".join(f"{base(symbol)} {measure(value)}" for symbol, value in shot["prices"].items())
    return [Line("market", "", f"{prices}; cash {amount(Decimal(shot['cash']))}, {shot['state']}", style="dim")]


def _answer(data: Data) -> list[RenderableType]:
    outcome = data["outcome"]
    label, about, answer = _LABEL.get(outcome["agent"], outcome["agent"]), base(outcome["subject"]), outcome["answer"] or {}
    if outcome["abstained"]:
        return [Line(label, about, f"abstains: {clean(outcome['why'])}", style="yellow")]
    head = ", ".join(
        f"{name} {answer[name]}" if isinstance(answer[name], float) else str(answer[name]) for name in _HEAD if name in answer
    )
    lines: list[RenderableType] = [
        Line(label, about, reason(f"{head}. {answer.get('reason', '')}" if head else answer.get("reason", "")), short=True)
    ]
    lines += [
        Line(label, base(one["symbol"]), reason(f"{one['verdict']}. {one['reason']}"), short=True)
        for one in answer.get("verdicts", ())
    ]
    return lines


def _gate(data: Data) -> list[RenderableType]:
    intent, decision = data["intent"], data["decision"]
    what = f"{intent['purpose']}: {intent['side']} {exact(Decimal(intent['quantity']))}"
    verdict = str(decision["verdict"])
    words = {"approved": ("passes", "green"), "denied": ("DENIED", "bold red")}
    told, style = words.get(verdict, ("needs an operator's approval", "yellow"))
    lines: list[RenderableType] = [Line("gate", base(intent["symbol"]), f"{what} {told}", style=style)]
    return lines + [Line("", "", each, style=style) for each in failed(decision["checks"])]


def _denied(data: Data) -> list[RenderableType]:
    codes = ", ".join(data["decision"]["reason_codes"])
    return [Line("denied", base(data["intent"]["symbol"]), f"nothing was sent: {codes}", style="bold red")]


def _order(data: Data) -> list[RenderableType]:
    order = data["order"]
    at = ""
    if order["limit_price"]:
        at = f" limit {exact(Decimal(order['limit_price']))} {order['time_in_force']}"
    if order["stop_price"]:
        at += f" stop {exact(Decimal(order['stop_price']))}"
    label = "stop" if order["purpose"] == "stop" else "order"
    told = f"{order['side']} {exact(Decimal(order['quantity']))}{at or ' market'} sent ({order['client_order_id']})"
    if order["state"] in (OrderState.REFUSED, OrderState.UNKNOWN):
        return [Line(label, base(order["symbol"]), f"{told}  {order['state']}: {clean(order['reason'])}", style="red")]
    return [Line(label, base(order["symbol"]), told)]


def _fill(data: Data) -> list[RenderableType]:
    fill = data["fill"]
    did = "bought" if fill["side"] == "buy" else "sold"
    fee = f"fee {exact(Decimal(fill['fee']['amount']))} {fill['fee']['currency']}"
    size = f"{did} {exact(Decimal(fill['quantity']))} at {price(Decimal(fill['price']))}"
    told = f"{size}, {amount(Decimal(fill['notional']))} in all, {fee}"
    return [Line("fill", base(fill["symbol"]), told, style="bold green")]


def _cancelled(data: Data) -> list[RenderableType]:
    order = data["order"]
    return [Line("cancelled", base(order["symbol"]), clean(f"{order['client_order_id']} {data['why']}"), style="yellow")]


def _ended(data: Data) -> list[RenderableType]:
    order = data["order"]
    filled = Decimal(order["filled"])
    got = f"{exact(filled)} of {exact(Decimal(order['quantity']))} filled" if filled else "unfilled"
    why = f": {clean(order['reason'])}" if order["reason"] else ""
    return [Line("ended", base(order["symbol"]), f"{got}, {order['state']}{why}", style="yellow")]


def _slippage(data: Data) -> list[RenderableType]:
    quality = data["quality"]
    lost = quality["slippage"]
    return [Line("slippage", base(quality["symbol"]), basis_points(None if lost is None else Decimal(lost)), style="yellow")]


def _decided(data: Data) -> list[RenderableType]:
    by = f" by {data['by']}" if data.get("by") else ""
    because = f": {clean(data['reason'])}" if data.get("reason") else ""
    return [Line("approval", "", f"{data['state']}{by}{because}", style="green" if data["state"] == "approved" else "yellow")]


def _text(label: str, tell: Callable[[Data], str], style: str = "") -> Callable[[Data], list[RenderableType]]:
    return lambda data: [Line(label, "", clean(tell(data)), style=style)]


def _channel(data: Data) -> str:
    return f"{data.get('symbol', '')} {data.get('why', '')}"


_TOLD: Mapping[str, Callable[[Data], list[RenderableType]]] = {
    "run_started": _text("run", lambda data: f"began, as of {data['as_of']}", "dim"),
    "run_resumed": _text("run", lambda data: "goes on", "dim"),
    "snapshot_taken": _snapshot,
    "agent_answered": _answer,
    "gate_decided": _gate,
    "order_denied": _denied,
    "order_sent": _order,
    "fill_booked": _fill,
    "order_cancelled": _cancelled,
    "order_ended": _ended,
    "slippage_alert": _slippage,
    "approval_decided": _decided,
    "run_waiting": _text("waiting", lambda data: "an operator has to approve or reject", "yellow"),
    "run_done": _text("run", lambda data: "done", "dim"),
    "run_failed": _text("failed", lambda data: str(data.get("error", "")), "bold red"),
    "run_cancelled": _text("run", lambda data: "stopped", "yellow"),
    "state_changed": _text("state", lambda data: f"{data['state']}: {data.get('reason', '')}", "bold red"),
    "venue_differs": _text("differs", lambda data: f"no entries: {data['differs']}", "bold red"),
    "channels_silent": _text("channels", _channel, "yellow"),
    "price_doubted": _text("doubted", _channel, "yellow"),
    "paused": _text("paused", lambda data: f"{data['kind']} {data['subject']} by {data['by']}: {data['reason']}", "yellow"),
}
