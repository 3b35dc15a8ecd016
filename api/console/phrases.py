"""One line for each thing that happens in a run."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

from rich.text import Text

from agents.answers import Answer, ExecutionPlan, MarketView, RebalancePlan, RiskPlan, Signal
from agents.outcome import Outcome
from api.console.screen import Line
from api.console.text import base, basis_points, clean, exact, measure, price, reason
from trading_core.domain.intents import Check, RiskDecision, TradeIntent, Verdict
from trading_core.domain.orders import Fill, Order, OrderState, OrderType, Purpose, Side
from trading_core.execution.quality import ExecutionQuality

AGENT_LABEL = {"market_analysis": "analysis", "signal": "signal", "risk": "risk", "execution": "execution"}

# Caps that an entry's size runs into; cash is the one where less is found than the limit when it fails.
_CAPS = frozenset(
    {
        "order_cap", "actor_order_size", "risk_per_trade", "position_exposure", "total_exposure", "concentration",
        "correlated_exposure", "concurrent_positions", "open_orders", "insufficient_cash", "fat_finger",
    }
)  # fmt: skip
_AT_THE_LIMIT = Decimal("0.98")
_SHOWN_CAPS = 3


def outcome_lines(outcome: Outcome[Answer], *, short: bool) -> list[Line]:
    """What an agent found, or why it said nothing."""
    label = AGENT_LABEL.get(outcome.agent, outcome.agent)
    about = base(outcome.subject)
    answer = outcome.answer
    if answer is None:
        return [Line(label, about, Text.assemble(("abstains: ", "yellow"), clean(outcome.why)))]
    lines: list[Line] = []
    if outcome.abstained:
        lines.append(Line(label, about, Text.assemble(("abstains: ", "yellow"), reason(answer.reason))))
    else:
        acts = isinstance(answer, Signal) and answer.action in ("enter", "exit")
        lines.append(Line(label, about, Text.assemble(_said(answer), reason(answer.reason)), short=short and not acts))
        lines += _parts(label, answer)
    for problem in outcome.problems:
        lines.append(Line(label, about, Text(f"not grounded, so it may not trade: {clean(problem)}", style="yellow")))
    return lines


def _said(answer: Answer) -> Text:
    match answer:
        case MarketView():
            return Text.assemble((f"{answer.trend}, {answer.regime}", "bold"), f", confidence {answer.confidence:g}. ")
        case Signal():
            style = {"enter": "bold green", "exit": "bold magenta"}.get(answer.action, "bold")
            return Text.assemble((answer.action, style), f", conviction {answer.conviction:g}. ")
        case RebalancePlan():
            return Text(f"{len(answer.targets)} targets, turnover {answer.turnover:.1%}. ", style="bold")
    return Text()


def _parts(label: str, answer: Answer) -> list[Line]:
    """The part of a plan that is about each symbol."""
    rows: list[tuple[str, Text]] = []
    if isinstance(answer, RiskPlan):
        for verdict in answer.verdicts:
            size = f", {verdict.risk_fraction:.2%} of equity at risk" if verdict.risk_fraction else ""
            style = "bold" if verdict.verdict == "take" else "bold yellow"
            rows.append((verdict.symbol, Text.assemble((f"{verdict.verdict}{size}. ", style), reason(verdict.reason))))
    elif isinstance(answer, ExecutionPlan):
        for choice in answer.orders:
            rows.append((choice.symbol, Text.assemble((f"{choice.style}. ", "bold"), reason(choice.reason))))
    elif isinstance(answer, RebalancePlan):
        rows = [(target.symbol, Text(f"to {target.weight:.1%} of equity")) for target in answer.targets]
    return [Line(label, base(clean(symbol)), text) for symbol, text in rows]


def gate_lines(intent: TradeIntent, wanted: Decimal, decision: RiskDecision) -> list[Line]:
    """What the gate said, with its numbers."""
    cut = wanted != intent.quantity
    said = {
        Verdict.APPROVED: ("approved", "green"),
        Verdict.DENIED: ("denied", "red"),
        Verdict.NEEDS_APPROVAL: ("needs an operator's approval", "yellow"),
    }[decision.verdict]
    size = f"wanted {exact(wanted)}, allowed {exact(intent.quantity)}" if cut else exact(intent.quantity)
    shown = Text.assemble((f"{intent.purpose.value}: {intent.side.value} {size} ", "bold"), said)
    lines = [Line("gate", base(intent.symbol), shown)]
    if decision.failed:
        return lines + [Line("", "", failed_check(check), style="red") for check in decision.failed]
    caps = tightest(decision.checks)
    if caps:
        told = "cut to fit: " if cut else "nearest limits: "
        lines.append(Line("", "", Text(told + "; ".join(_cap(check) for check in caps), style="dim")))
    return lines


def failed_check(check: Check) -> str:
    """A check that failed, found against limit."""
    detail = f" ({clean(check.detail)})" if check.detail else ""
    return f"{check.code}: found {measure(check.found)}, limit {measure(check.limit)}{detail}"


def tightest(checks: Sequence[Check]) -> list[Check]:
    """The caps that were used most: those at their limit, or else the nearest few."""
    used = [(ratio, check) for check in checks if check.code in _CAPS and (ratio := _used(check)) is not None]
    used.sort(key=lambda item: (-item[0], item[1].code))
    at_limit = [check for ratio, check in used if ratio >= _AT_THE_LIMIT]
    return (at_limit or [check for _, check in used])[:_SHOWN_CAPS]


def _used(check: Check) -> Decimal | None:
    """How much of the room that a cap leaves is used, 1 for all of it."""
    try:
        found, limit = Decimal(check.found), Decimal(check.limit)
    except InvalidOperation:
        return None
    if check.code == "insufficient_cash":
        found, limit = limit, found
    return found / limit if limit > 0 and found.is_finite() and limit.is_finite() else None


def _cap(check: Check) -> str:
    if check.code == "insufficient_cash":
        return f"cash left {measure(check.found)}, reserve {measure(check.limit)}"
    return f"{check.code} {measure(check.found)} of {measure(check.limit)}"


def order_line(order: Order) -> Line:
    """An order as it went out."""
    request = order.request
    if order.purpose is Purpose.STOP:
        shown = f"{request.side.value} {exact(request.quantity)} when {price(request.stop_price)} trades"
    else:
        how = f"up to {price(request.limit_price)}" if request.limit_price else "at market"
        kind = f"{request.type.value} {request.time_in_force.value}" if request.type is OrderType.LIMIT else request.type.value
        shown = f"{request.side.value} {exact(request.quantity)} {how}, {kind}"
    text = Text.assemble((shown, "bold"), (f"  {request.client_order_id}", "dim"))
    if order.state in (OrderState.REFUSED, OrderState.UNKNOWN):
        text.append(f"  {order.state.value}: {clean(order.reason)}", style="red")
    return Line("stop placed" if order.purpose is Purpose.STOP else "order sent", base(order.symbol), text)


def ended_line(order: Order) -> Line:
    """An order that ended with less than it asked for."""
    got = f"{exact(order.filled)} of {exact(order.request.quantity)} filled" if order.filled else "unfilled"
    why = f": {clean(order.reason)}" if order.reason else ""
    return Line("ended", base(order.symbol), f"{got}, {order.state.value}{why}", style="yellow")


def fill_line(fill: Fill, order: Order | None) -> Line:
    """An execution, with what it cost against the price the order was decided at (a stop: against its stop price)."""
    stopped = order is not None and order.purpose is Purpose.STOP
    verb = "stopped out:" if stopped else "bought" if fill.side is Side.BUY else "sold"
    text = Text.assemble((f"{verb} {exact(fill.quantity)} at {exact(fill.price)}", "bold magenta" if stopped else "bold"))
    text.append(f", fee {price(fill.fee.amount)} {fill.fee.asset}")
    reference = None if order is None else order.request.stop_price if stopped else order.arrival_price
    if reference:
        paid = (fill.price - reference) / reference
        text.append(f", slippage {basis_points(paid if fill.side is Side.BUY else -paid)}")
    return Line("fill", base(fill.symbol), text)


def slippage_line(quality: ExecutionQuality) -> Line:
    """An order that was filled far from the price it was decided at."""
    text = f"{basis_points(quality.slippage)} on {quality.order.client_order_id}: decided at {price(quality.reference_price)}, "
    text += f"filled at {price(quality.average_price)}"
    return Line("slippage", base(quality.order.symbol), text, style="yellow")
