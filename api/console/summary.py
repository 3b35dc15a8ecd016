"""What a session came to, in a few tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from api.console.screen import table
from api.console.support import supports
from api.console.text import amount, base, basis_points, clean, exact, measure, percent, price, signed, sparkline, uncited, when
from graph.report import SessionReport
from trading_core.domain.orders import Purpose
from trading_core.persistence.records import OrderTrail, RunTrail

MOST_ROWS = 15


def show_summary(console: Console, report: SessionReport, trails: Sequence[RunTrail]) -> None:
    """The whole end of a session. `trails` are of the runs that had intents or orders."""
    _show_decisions(console, trails)
    _show_orders(console, [trail for run in trails for trail in run.orders], report.orders)
    _show_portfolio(console, report)
    _show_result(console, report)


def evidence_lines(trail: RunTrail, text: str) -> list[str]:
    """`e12ab34cd get_indicators(BTC/USDT): last_close 63,120.53, …`: what each cited result says behind a reason's numbers."""
    # Evidence is kept once for a run, whichever agent called the tool first.
    lines: dict[str, str] = {}
    for found in supports(text, {item.id: item for item in trail.evidence}):
        start = lines.get(found.evidence_id)
        said = f"{found.field} {found.value}"
        lines[found.evidence_id] = f"{start}, {said}" if start else f"{found.evidence_id} {found.tool}({found.subject}): {said}"
    return list(lines.values())


def _show_decisions(console: Console, trails: Sequence[RunTrail]) -> None:
    rows = []
    for trail in trails:
        signals = {decision.subject: decision for decision in trail.decisions if decision.agent == "signal"}
        sent = {order.order.intent_id for order in trail.orders}
        for item in trail.intents:
            intent = item.intent
            if intent.purpose is Purpose.STOP or intent.intent_id not in sent:
                continue
            signal = signals.get(intent.symbol)
            said = str((signal.answer or {}).get("reason", "")) if signal else intent.reason
            rows.append((trail, intent, said))
    if not rows:
        console.print(Text("\nNo decision led to an order.", style="bold"))
        return
    console.print()
    made = table("Decisions that led to orders, and the evidence behind their numbers", "time UTC", "decision", "why")
    for trail, intent, said in rows[-MOST_ROWS:]:
        why = Text(uncited(said) or clean(intent.reason))
        for each in evidence_lines(trail, said):
            why.append(f"\n{clean(each)}", style="dim")
        what = f"{intent.purpose.value} {base(intent.symbol)}\n{intent.side.value} {exact(intent.quantity)}"
        made.add_row(f"{trail.run.as_of:%m-%d %H:%M}", what, why)
    console.print(made)
    _left_out(console, len(rows))


def _show_orders(console: Console, trails: Sequence[OrderTrail], total: int) -> None:
    if not trails:
        return
    console.print()
    right = ("quantity", "filled", "avg price", "fee", "slippage")
    made = table(
        "Orders and fills", "time UTC", "order", "quantity", "filled", "avg price", "fee", "slippage", "state", right=right
    )
    for trail in trails[-MOST_ROWS:]:
        made.add_row(*order_cells(trail))
    console.print(made)
    _left_out(console, total)


def order_cells(trail: OrderTrail) -> tuple[str, ...]:
    """One row: time, what, quantity, filled, average price, fees, slippage, state."""
    order = trail.order
    fees: dict[str, Decimal] = {}
    for fill in trail.fills:
        fees[fill.fee.asset] = fees.get(fill.fee.asset, Decimal(0)) + fill.fee.amount
    is_stop = order.purpose is Purpose.STOP
    at_stop = f" at {price(order.request.stop_price)}" if is_stop else ""
    slippage = order.slippage
    if is_stop and order.average_price and order.request.stop_price:
        slippage = (order.request.stop_price - order.average_price) / order.request.stop_price
    return (
        f"{order.created_at:%m-%d %H:%M}",
        f"{order.purpose.value} {base(order.symbol)} {order.side.value}{at_stop}",
        exact(order.request.quantity),
        exact(order.filled),
        price(order.average_price),
        ", ".join(f"{measure(paid)} {asset}" for asset, paid in fees.items()) or "–",
        basis_points(slippage),
        order.state.value,
    )


def _show_portfolio(console: Console, report: SessionReport) -> None:
    console.print()
    if report.holdings:
        right = ("quantity", "price", "value", "open profit")
        made = table("Portfolio", "symbol", "quantity", "price", "value", "open profit", right=right)
        for held in report.holdings:
            name = f"{held.symbol} (dust: too little to sell)" if held.is_dust else held.symbol
            made.add_row(name, exact(held.quantity), price(held.price), amount(held.value), signed(held.unrealised))
        made.add_row("cash", "", "", amount(report.cash), "")
        console.print(made)
    else:
        console.print(Text.assemble(("Portfolio  ", "bold"), f"cash {amount(report.cash)} {report.currency}, nothing held"))


def _show_result(console: Console, report: SessionReport) -> None:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, text in _results(report):
        grid.add_row(name, text)
    console.print(Text("\nResult", style="bold"))
    console.print(grid)


def _results(report: SessionReport) -> Iterable[tuple[str, Text | str]]:
    deposit = report.deposit

    def share(of: Decimal) -> str:
        return percent(of / deposit) if deposit > 0 else "–"

    held = report.held_instead - deposit
    yield "time", f"{when(report.start)} to {when(report.end)} UTC, {report.cycles} cycles"
    yield "equity", Text.assemble(f"{amount(report.equity)} {report.currency}  ", sparkline([worth for _, worth in report.curve]))
    yield "profit", f"{signed(report.profit)} ({share(report.profit)}), {signed(report.realised)} of it realised"
    yield "buy and hold", f"{signed(held)} ({share(held)}) for the same deposit split evenly over the symbols"
    yield "fees", ", ".join(f"{measure(paid)} {asset}" for asset, paid in sorted(report.fees.items())) or "none"
    yield "drawdown", f"{percent(report.drawdown)} at worst"
    yield "signals", _counts(report.actions) or "none"
    yield "denials", _counts(report.denials) or "none"
    yield "state", report.trading_state + (f": {clean(report.state_reason)}" if report.state_reason else "")
    agreed = "ledger and exchange agree to the last digit"
    yield (
        "books",
        Text(agreed, "green") if report.balances_agree else Text("ledger and exchange DISAGREE: stop trading", "bold red"),
    )


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _left_out(console: Console, total: int) -> None:
    if total > MOST_ROWS:
        console.print(Text(f"The last {MOST_ROWS} of {total}; `--json` and `algotrendy show` have them all.", style="dim"))
