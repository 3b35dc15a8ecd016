"""The trading state, what a kill took back, how ledger and venue compare, and what was verified."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from api.console.screen import table
from api.console.text import amount, base, clean, exact, price
from api.operations import StateView
from trading_core.domain.clock import iso
from trading_core.domain.errors import AlgoTrendyError
from trading_core.domain.money import plain
from trading_core.domain.orders import Order
from trading_core.execution.reconcile import Reconciliation
from trading_core.execution.verify import Finding
from trading_core.risk.state import AccountRisk, TradingState, Withdrawal

_STYLE = {TradingState.ACTIVE: "bold green", TradingState.REDUCING: "bold yellow", TradingState.HALTED: "bold red"}
_MEANS = {
    TradingState.ACTIVE: "entries and exits",
    TradingState.REDUCING: "only exits",
    TradingState.HALTED: "nothing trades; protective stops stay",
}
_CHANGES, _OFFENCES = 5, 5  # shown at most


def state_line(session_id: str, risk: AccountRisk) -> Text:
    """The state, in one line."""
    means = _MEANS[risk.trading_state]
    if risk.withdrawal is Withdrawal.ALL:
        means = "nothing trades; protective stops are taken back too"
    return Text.assemble((risk.trading_state.value, _STYLE[risk.trading_state]), f" ({means}), session {session_id}")


def show_state(console: Console, found: StateView) -> None:
    """All that `state` knows."""
    risk = found.risk
    console.print(state_line(found.session_id, risk))
    console.print(Text(found.place, style="bold red" if found.place.startswith("REAL") else "dim"))
    console.print(f"since {iso(risk.changed_at)} by {clean(risk.changed_by)}: {clean(risk.reason) or 'from the start'}")
    told = f"peak equity {amount(risk.peak_equity)}, start of {risk.day} {amount(risk.day_start_equity)}"
    if found.worth is not None:
        told += f", after the last run {amount(found.worth.equity)}"
    console.print(f"{told}, losses in a row {risk.consecutive_losses}")
    if found.changes:
        console.print()
        made = table("Changes, newest first", "time UTC", "from", "to", "by", "why")
        for change in found.changes[: -_CHANGES - 1 : -1]:
            made.add_row(iso(change.at), change.from_state, change.to_state, clean(change.actor), clean(change.reason))
        console.print(made)
    console.print()
    if found.live:
        console.print(_orders("Live orders", found.live))
    else:
        console.print("No live orders.")


def state_document(found: StateView) -> dict[str, object]:
    """The same as JSON."""
    risk = found.risk
    return {
        "session": found.session_id,
        "account": found.place,
        "state": risk.trading_state.value,
        "withdrawal": risk.withdrawal.value,
        "reason": risk.reason,
        "since": iso(risk.changed_at),
        "by": risk.changed_by,
        "peak_equity": plain(risk.peak_equity),
        "day": risk.day.isoformat(),
        "day_start_equity": plain(risk.day_start_equity),
        "equity": plain(found.worth.equity) if found.worth else None,
        "consecutive_losses": risk.consecutive_losses,
        "live_orders": [
            {
                "order": order.client_order_id,
                "purpose": order.purpose.value,
                "symbol": order.symbol,
                "side": order.side.value,
                "remaining": plain(order.remaining),
                "state": order.state.value,
            }
            for order in found.live
        ],
        "changes": [
            {"at": iso(c.at), "from": c.from_state, "to": c.to_state, "by": c.actor, "reason": c.reason} for c in found.changes
        ],
    }


def show_withdrawn(console: Console, orders: Sequence[Order], trouble: AlgoTrendyError | None, look: str) -> None:
    """What came of a kill, and what may still trade."""
    if not orders:
        console.print("No live order had to be cancelled.")
        return
    console.print(_orders("Orders taken back", orders))
    left = [order for order in orders if order.is_live]
    if not left:
        return
    told = f"{len(left)} may still trade. They are tried again at every look at the venue; `{look}` shows them."
    console.print(Text(told, style="bold red"))
    if trouble is not None:
        console.print(Text(f"This process could not cancel them: {clean(str(trouble))}", style="red"))


def _orders(title: str, orders: Sequence[Order]) -> object:
    made = table(title, "order", "", "quantity", "price", "state", right=("quantity", "price"))
    for order in orders:
        request = order.request
        at = request.limit_price if request.limit_price is not None else request.stop_price
        what = f"{order.purpose.value} {base(order.symbol)} {order.side.value}"
        made.add_row(order.client_order_id, what, exact(order.remaining), price(at), order.state.value)
    return made


def show_reconciliation(console: Console, found: Reconciliation) -> None:
    """Every difference, and what was done about it."""
    if found.rows:
        made = table("Ledger against venue", "what", "about", "ledger", "venue", "done")
        for row in found.rows:
            style = "red" if row.blocks else ""
            made.add_row(row.kind.value, clean(row.subject), clean(row.ledger), clean(row.venue), clean(row.done), style=style)
        console.print(made)
    agreed = Text("The ledger and the venue agree to the last digit.", style="green")
    console.print(agreed if found.agrees else Text("They differ: the desk enters nothing until they agree.", style="bold red"))


def show_findings(console: Console, findings: Sequence[Finding], not_compared: str) -> None:
    """Every check with its count, and the first offences of each that does not hold."""
    made = table("Verified", "check", "compared", "", right=("compared",))
    for finding in findings:
        mark = Text("✓", "green") if finding.holds else Text(f"✗ {len(finding.offences)}", "bold red")
        made.add_row(finding.name, str(finding.compared), mark)
    console.print(made)
    for finding in findings:
        for offence in finding.offences[:_OFFENCES]:
            console.print(Text(f"{finding.name}: {clean(offence)}", style="red"))
        if len(finding.offences) > _OFFENCES:
            console.print(Text(f"{finding.name}: and {len(finding.offences) - _OFFENCES} more", style="red"))
    if not_compared:
        console.print(Text(f"The venue was not compared: {clean(not_compared)}", style="yellow"))
