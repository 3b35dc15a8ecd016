"""One run read back: snapshot, decisions and their evidence, the gate's every check, orders, portfolio."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from api.console.screen import table
from api.console.summary import evidence_lines, order_cells
from api.console.text import amount, base, clean, exact, measure, price, reason, when
from trading_core.domain.clock import iso
from trading_core.persistence.records import DecisionRecord, IntentTrail, RunTrail, SessionRecord

_STAGES = ("market_analysis", "rebalancing", "signal", "risk", "execution")


def show_trail(console: Console, trail: RunTrail, session: SessionRecord) -> None:
    """Everything on record about a run, in the order it happened."""
    _show_head(console, trail, session)
    _show_snapshot(console, trail)
    for decision in sorted(trail.decisions, key=lambda d: (_STAGES.index(d.agent) if d.agent in _STAGES else 9, d.subject)):
        _show_decision(console, trail, decision)
    for item in trail.intents:
        _show_intent(console, item)
    _show_orders(console, trail)
    _show_portfolio(console, trail)


def _show_head(console: Console, trail: RunTrail, session: SessionRecord) -> None:
    run, model = trail.run, session.config.get("model")
    named = model.get("model") if isinstance(model, Mapping) else "unknown"
    console.print(Text.assemble(("Run ", "bold"), (run.id, "bold"), f"  {run.state.value}"))
    console.print(f"as of {when(run.as_of)} UTC, market {session.config.get('market')}, model {named}, session {session.id}")
    if run.error:
        console.print(Text(clean(run.error), style="red"))


def _show_snapshot(console: Console, trail: RunTrail) -> None:
    if trail.snapshot is None:
        console.print(Text("\nIt took no snapshot.", style="bold"))
        return
    content = trail.snapshot.content
    console.print(
        Text.assemble(("\nSnapshot ", "bold"), (f"{trail.snapshot.hash[:16]}  what the run was allowed to know", "dim"))
    )
    tickers = content.get("tickers")
    for symbol, ticker in sorted(tickers.items()) if isinstance(tickers, Mapping) else ():
        console.print(f"  {symbol}  last {ticker.get('last')}, bid {ticker.get('bid')}, ask {ticker.get('ask')}")
    console.print(f"  state {content.get('state')}, drawdown {measure(content.get('drawdown'))}")
    channels = content.get("channels")
    for name, report in sorted(channels.items()) if isinstance(channels, Mapping) else ():
        told = report.get("reason") or f"{len(report.get('readings', []))} readings"
        console.print(Text(f"  {name}  {report.get('state')}: {clean(str(told))}", style="dim"))


def _show_decision(console: Console, trail: RunTrail, decision: DecisionRecord) -> None:
    about = f" {base(decision.subject)}" if decision.subject else ""
    style = "bold" if decision.outcome.value == "answered" else "bold yellow"
    console.print(Text.assemble((f"\n{decision.agent}{about}  ", "bold cyan"), (decision.outcome.value, style)))
    answer = dict(decision.answer or {})
    said = str(answer.pop("reason", ""))
    _indented(console, reason(said or decision.reason))
    for text in evidence_lines(trail, said):
        _indented(console, Text(clean(text), style="dim"), 4)
    if answer:
        _indented(console, Text(clean(json.dumps(answer, ensure_ascii=False))))
    grounded = "grounded: every number is in its evidence" if decision.grounded else "not grounded"
    if decision.answer is not None:
        _indented(console, Text(grounded, style="green" if decision.grounded else "yellow"))
    for problem in decision.problems:
        _indented(console, Text(clean(problem), style="yellow"), 4)
    cost = f"{decision.model}, {decision.model_calls} calls, {decision.repairs} repairs"
    cost += f", {decision.input_tokens} + {decision.output_tokens} tokens, {decision.seconds:.2f} s"
    _indented(console, Text(cost + (", reused: the model was not called" if decision.reused else ""), style="dim"))
    if decision.evidence:
        tools = {item.id: item.tool for item in trail.evidence}
        cited = ", ".join(f"{id_} {tools.get(id_, 'unknown')}" for id_ in decision.evidence)
        _indented(console, Text(f"cites {cited}", style="dim"))


def _show_intent(console: Console, item: IntentTrail) -> None:
    intent = item.intent
    console.print(Text.assemble(("\nintent ", "bold cyan"), (intent.intent_id, "dim")))
    prices = [("limit", intent.limit_price), ("stop", intent.stop_price), ("worst", intent.worst_price)]
    told = ", ".join(f"{name} {exact(value)}" for name, value in prices if value is not None)
    wish = f"{intent.purpose.value}: {intent.side.value} {exact(intent.quantity)} {intent.symbol} {intent.type.value}"
    _indented(console, f"{wish}{', ' + told if told else ''}, proposed by {intent.proposer}")
    for decision in item.decisions:
        style = {"approved": "green", "denied": "red"}.get(decision.verdict.value, "yellow")
        _indented(console, Text.assemble("gate at ", iso(decision.decided_at), ": ", (decision.verdict.value, f"bold {style}")))
        made = table("", "check", "found", "limit", "", right=())
        for check in decision.checks:
            mark = Text("✓", "green") if check.passed else Text(f"✗ {clean(check.detail)}", "red")
            made.add_row(check.code, measure(check.found), measure(check.limit), mark)
        console.print(Padding(made, (0, 0, 0, 4)))
    approval = item.approval
    if approval is not None:
        by = f" by {approval.decided_by} at {iso(approval.decided_at)}" if approval.decided_at else ""
        why = f": {clean(approval.reason)}" if approval.reason else ""
        _indented(console, Text(f"approval {approval.state.value}{by}{why}", style="bold"))


def _show_orders(console: Console, trail: RunTrail) -> None:
    for item in trail.orders:
        _, what, quantity, filled, average, fee, slippage, state = order_cells(item)
        console.print(Text.assemble(("\norder ", "bold cyan"), (item.order.client_order_id, "dim"), f"  {what}"))
        _indented(console, f"{quantity}, filled {filled} at {average}, fee {fee}, slippage {slippage}, {state}")
        for event in item.events:
            told = f"{event.sequence} {iso(event.at)} {event.event.value} → {event.state.value} {clean(event.detail)}"
            _indented(console, Text(told, style="dim"), 4)
        for fill in item.fills:
            _indented(console, f"fill {fill.trade_id}: {exact(fill.quantity)} at {exact(fill.price)}, fee {fill.fee}", 4)


def _show_portfolio(console: Console, trail: RunTrail) -> None:
    worth = trail.portfolio
    if worth is None:
        console.print(Text("\nIt recorded no portfolio.", style="bold"))
        return
    console.print(Text("\nPortfolio after the run", style="bold"))
    _indented(console, f"equity {amount(worth.equity)}, cash {amount(worth.cash)}")
    positions = worth.content.get("positions")
    for symbol, held in sorted(positions.items()) if isinstance(positions, Mapping) else ():
        _indented(console, f"{symbol}  {held.get('quantity')} at {price(Decimal(str(held.get('price'))))}")


def _indented(console: Console, text: Text | str, by: int = 2) -> None:
    console.print(Padding(text, (0, 0, 0, by)))
