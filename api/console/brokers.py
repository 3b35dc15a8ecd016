"""Accounts at venues for people: health as a table with its warnings, and how ledger and venues compare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter
from rich.console import Console
from rich.text import Text

from api.console.control import show_reconciliation
from api.console.screen import table
from api.console.text import clean
from graph.venue_health import AccountHealth
from trading_core.brokers.health import HealthReport
from trading_core.brokers.latency import Call
from trading_core.brokers.permissions import KeyPermissions
from trading_core.brokers.venues.profiles import PROFILES
from trading_core.execution.reconcile import Reconciliation, Row

_REPORT = TypeAdapter(HealthReport)
_ROWS = TypeAdapter(tuple[Row, ...])


@dataclass(frozen=True, slots=True)
class Comparison:
    """One account's ledger against its venue, or why they could not be compared; one never traded on is skipped."""

    account_id: str
    found: Reconciliation | None
    trouble: str = ""
    skipped: bool = False


def show_health(console: Console, found: Sequence[AccountHealth]) -> None:
    """A row for each account, and below them what is wrong or should be changed."""
    right = ("ms 50/90 %", "clock ms", "budget", "markets", "assets", "orders")
    headings = ("account", "venue", "money", "answers", "ms 50/90 %", "clock ms", "key may", "budget", "markets", "assets")
    made = table("Accounts at venues", *headings, "orders", right=right)
    for one in found:
        made.add_row(*_cells(one))
    console.print(made)
    for one in found:
        if wrong := one.unusable or (one.report.error if one.report else ""):
            console.print(Text(f"{one.account.id}: {clean(wrong)}", style="red"))
        for warning in one.report.warnings if one.report else ():
            if wrong and warning.endswith(wrong):
                continue  # the same again
            console.print(Text(f"{one.account.id}: {clean(warning)}", style="yellow"))


def _cells(one: AccountHealth) -> list[str | Text]:
    account, report = one.account, one.report
    money = Text("REAL MONEY", "bold red") if account.production else Text("sandbox" if account.url is None else "test")
    head: list[str | Text] = [account.id, PROFILES[account.venue].title, money]
    if report is None:
        return [*head, Text("not asked", "red"), *["–"] * 7]
    answers = Text("yes", "green") if report.healthy else Text("yes, but" if report.reachable else "no", "red")
    reads = report.latency.get(Call.READ)
    speed = f"{reads.p50:.0f}/{reads.p90:.0f}" if reads else "–"
    skew = "–" if report.clock_skew_ms is None else f"{report.clock_skew_ms:+d}"
    budget = "–" if report.budget_left is None else f"{report.budget_left:.0%}"
    counts = ["–" if count is None else str(count) for count in (report.instruments, report.balances, report.open_orders)]
    return [*head, answers, speed, skew, _may(report.permissions), budget, *counts]


def _may(permissions: KeyPermissions | None) -> Text:
    if permissions is None:
        return Text("–")
    told = {"read": permissions.can_read, "trade": permissions.can_trade, "withdraw": permissions.can_withdraw}
    names = [name if may else f"{name}?" for name, may in told.items() if may is not False]
    return Text(", ".join(names), style="yellow" if permissions.can_withdraw else "")


def health_document(one: AccountHealth) -> dict[str, object]:
    """The same as JSON."""
    report = one.report
    content = _REPORT.dump_python(report, mode="json") if report else {}
    return {
        "account": one.account.id,
        "venue": one.account.venue,
        "production": one.account.production,
        "healthy": report.healthy if report else False,
        "unusable": one.unusable or None,
        "warnings": list(report.warnings) if report else [],
        **{name: value for name, value in content.items() if name not in ("account_id", "venue")},
    }


def show_comparisons(console: Console, found: Sequence[Comparison]) -> None:
    """Account by account."""
    if not found:
        console.print("No account at a venue yet.")
    for one in found:
        console.print(Text(one.account_id, style="bold"))
        if one.found is not None:
            show_reconciliation(console, one.found)
        else:
            console.print(Text(clean(one.trouble), style="dim" if one.skipped else "red"))


def comparison_document(one: Comparison) -> dict[str, object]:
    """The same as JSON."""
    rows = _ROWS.dump_python(one.found.rows, mode="json") if one.found else []
    agrees = one.found.agrees if one.found else None
    return {"account": one.account_id, "agrees": agrees, "trouble": one.trouble or None, "rows": rows}
