"""Orders that want a person's word: cards to confirm and approvals to give, with everything that would be sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from api.console.text import base, clean, exact, measure, percent, price
from trading_core.domain.clock import utc

_LABEL = 9  # columns
Lines = list[tuple[str, str, str]]  # label, text, style


def show_card(console: Console, card: Mapping[str, Any]) -> None:
    """An order that was proposed. `card` is the event that told of it, or the card as it is read."""
    ticket, preview = card["ticket"], card["preview"]
    lines: Lines = [("order", _ticket(ticket, preview), "bold"), *_exits(ticket)]
    if "market" in ticket.get("type", "market") and preview.get("worst_price"):
        lines.append(("at most", f"{exact(Decimal(preview['worst_price']))} is paid; what is not had at that is not bought", ""))
    lines += _gate(preview["verdict"], failed(preview.get("checks", ())))
    if card.get("reason"):
        lines.append(("reason", clean(str(card["reason"])), ""))
    identity = card.get("proposal") or card.get("id")
    lines.append(("card", f"{identity}, until {_clock(card['expires_at'])}; nothing is sent unless you confirm it", "dim"))
    _frame(console, "proposed order", lines)


def show_approval(console: Console, asked: Mapping[str, Any]) -> None:
    """An order that waits for an operator, as `/approvals` has it."""
    intent = asked["intent"]
    size = f"{intent['side']} {exact(Decimal(intent['quantity']))} {intent['symbol']}"
    limit = f", limit {exact(Decimal(intent['limit_price']))} {intent['time_in_force']}" if intent["limit_price"] else ", market"
    lines: Lines = [("order", f"{size}{limit} ({intent['purpose']})", "bold"), *_exits(intent)]
    now, moved = asked.get("price_now"), asked.get("moved")
    told = f"{price(Decimal(asked['asked_price']))} when it was asked"
    if now is not None:
        told += f", {price(Decimal(now))} now" + (f" ({percent(Decimal(moved))})" if moved is not None else "")
    lines.append(("price", told, ""))
    if asked.get("decision"):
        lines += [("gate", each, "yellow") for each in failed(asked["decision"]["checks"])]
    lines.append(("from", clean(f"{intent['proposer']}: {intent['reason']}" if intent["reason"] else intent["proposer"]), ""))
    lines.append(("intent", f"{intent['id'][:12]}, {asked['seconds_left'] / 60:.0f} minutes left", "dim"))
    _frame(console, "waits for approval", lines)


def failed(checks: Iterable[Mapping[str, Any]]) -> list[str]:
    """The checks of the gate that failed, in words."""
    return [
        f"{one['code']}: found {measure(one['found'])}, limit {measure(one['limit'])}"
        + (f" ({clean(one['detail'])})" if one["detail"] else "")
        for one in checks
        if not one["passed"]
    ]


def _ticket(ticket: Mapping[str, Any], preview: Mapping[str, Any]) -> str:
    symbol, quantity = ticket["symbol"], preview.get("quantity") or ticket.get("quantity")
    parts = [f"{ticket['side']} {exact(Decimal(quantity)) if quantity else ''} {symbol}".replace("  ", " ")]
    if ticket.get("notional"):
        parts.append(f"for {exact(Decimal(ticket['notional']))} {symbol.partition('/')[2]}")
    if ticket.get("fraction"):
        parts.append(f"{percent(Decimal(ticket['fraction']), 0)} of the {base(symbol)} that is held")
    if ticket.get("limit_price"):
        parts.append(f"limit {exact(Decimal(ticket['limit_price']))} {ticket.get('time_in_force', 'gtc')}")
    else:
        parts.append("market")
    if ticket.get("expires_at"):
        parts.append(f"until {_clock(ticket['expires_at'])}")
    return ", ".join(parts)


def _exits(order: Mapping[str, Any]) -> Lines:
    named = (("stop", "stop_price"), ("target", "take_profit"))
    return [(label, exact(Decimal(order[name])), "") for label, name in named if order.get(name)]


def _gate(verdict: str, said: list[str]) -> Lines:
    words = {"approved": ("it would let it pass now", "green"), "denied": ("it would deny it now", "bold red")}
    told, style = words.get(verdict, ("it would have an operator approve it", "yellow"))
    return [("gate", told, style), *(("", each, style) for each in said)]


def _frame(console: Console, title: str, lines: Lines) -> None:
    if console.is_terminal:
        grid = Table.grid(padding=(0, 2, 0, 0))
        for label, text, style in lines:
            grid.add_row(Text(label, style="cyan"), Text(text, style=style))
        console.print(Panel(grid, title=title, title_align="left", border_style="cyan", expand=False))
        return
    console.print(Text(title))
    for label, text, style in lines:
        console.print(Text.assemble((f"  {label:<{_LABEL}}", "cyan"), (text, style)), soft_wrap=True)


def _clock(instant: str) -> str:
    return f"{utc(datetime.fromisoformat(instant)):%H:%M:%S} UTC"
