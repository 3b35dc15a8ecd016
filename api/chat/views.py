"""What `/status`, `/positions`, `/orders`, `/approvals`, `/agents` and `/threads` show."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from rich.text import Text

from api.chat.chat import Chat
from api.console.screen import table
from api.console.text import amount, base, clean, exact, percent, price, signed

_ORDERS, _THREADS, _SAID = 15, 20, 6


async def status(chat: Chat) -> None:
    """Worth, exposure, whether the account may trade, and what waits."""
    worth, risk = (
        await chat.client.get(f"/accounts/{chat.account}/portfolio"),
        await chat.client.get(f"/accounts/{chat.account}/risk"),
    )
    waiting = len(await chat.pending())
    equity, profit = _decimal(worth["equity"]), _decimal(worth["profit"])
    _line(chat, "account", f"{chat.account}, {worth['currency']}, prices of {worth['priced_at'] or 'nobody'}")
    told = "unknown while a holding has no price" if equity is None else amount(equity)
    gained = "" if profit is None else f" ({signed(profit)} since the start)"
    _line(chat, "equity", f"{told}{gained}, cash {amount(Decimal(worth['cash']))}")
    if worth["exposure"] is not None:
        held = len(worth["positions"])
        told = f"{percent(Decimal(worth['exposure']))} of equity in {held} position{'s' if held != 1 else ''}"
        _line(chat, "exposure", told)
    state = risk["state"] + (f": {clean(risk['reason'])} ({risk['changed_by']})" if risk["reason"] else "")
    _line(chat, "trading", state, "green" if risk["state"] == "active" else "bold red")
    if risk["drawdown"] is not None:
        lost = "" if risk["lost_today"] is None else f", {percent(Decimal(risk['lost_today']))} lost today"
        _line(chat, "drawdown", percent(Decimal(risk["drawdown"])) + lost)
    _line(chat, "waiting", f"{waiting} for approval" if waiting else "nothing", "yellow" if waiting else "")


async def positions(chat: Chat) -> None:
    """What is held, with its open profit."""
    held = (await chat.client.get(f"/accounts/{chat.account}/positions"))["positions"]
    shown = table("Positions", "symbol", "quantity", "cost", "price", "value", "weight", "open profit",
                  right=("quantity", "cost", "price", "value", "weight", "open profit"))  # fmt: skip
    for one in held:
        shown.add_row(
            one["symbol"], exact(Decimal(one["quantity"])), price(_decimal(one["average_cost"])), price(_decimal(one["price"])),
            _money(one["value"]), _share(one["weight"]), _money(one["unrealised"]),
        )  # fmt: skip
    chat.console.print(shown if held else Text("nothing is held", style="dim"))


async def orders(chat: Chat) -> None:
    """The newest orders."""
    found = (await chat.client.get(f"/accounts/{chat.account}/orders", limit=_ORDERS))["items"]
    shown = table("Orders, newest first", "at (UTC)", "order", "of", "state", "filled at", "why", right=("filled at",))
    for one in found:
        at = one["limit_price"] or one["stop_price"]
        order = (
            f"{one['side']} {exact(Decimal(one['quantity']))} {base(one['symbol'])}{f' at {exact(Decimal(at))}' if at else ''}"
        )
        shown.add_row(
            one["created_at"][:19],
            order,
            one["purpose"],
            one["state"],
            price(_decimal(one["average_price"])),
            clean(one["reason"]),
        )
    chat.console.print(shown if found else Text("there are no orders", style="dim"))


async def agents(chat: Chat) -> None:
    """Who works on the account."""
    shown = table("Agents", "name", "model", "calls today", "state", "purpose", right=("calls today",))
    for one in (await chat.client.get(f"/accounts/{chat.account}/agents"))["items"]:
        pause = one.get("paused")
        state = f"paused: {clean(pause['reason'])}" if pause else "works"
        shown.add_row(one["name"], clean(str(one["model"])), str(one["calls_today"]), state, one["purpose"])
    chat.console.print(shown)


async def threads(chat: Chat) -> list[str]:
    """The person's conversations about the account, newest first; their ids in the order shown."""
    found = (await chat.client.get("/conversations", limit=_THREADS))["items"]
    mine = [one for one in found if one["account"] == chat.account]
    for number, one in enumerate(mine, 1):
        here = " (this one)" if one["id"] == chat.thread else ""
        chat.note(
            f"{number:>3}  {one['updated_at'][:16].replace('T', ' ')}  {clean(one['title']) or 'without a title'}{here}", ""
        )
    if not mine:
        chat.note("there are no threads")
    return [one["id"] for one in mine]


async def said(chat: Chat) -> None:
    """The last that was said in the thread."""
    found: list[Any] = []
    cursor: str | None = None
    while True:
        page = await chat.client.get(f"/conversations/{chat.thread}/messages", limit=200, cursor=cursor)
        found, cursor = [*found, *page["items"]][-_SAID:], page["next_cursor"]
        if cursor is None:
            break
    for one in found:
        who = one["agent"].replace("_", " ") or "you"
        chat.note(who, "bold cyan" if one["agent"] else "bold")
        chat.note(f"  {clean(one['content'])}", "")


def _line(chat: Chat, label: str, text: str, style: str = "") -> None:
    chat.console.print(Text.assemble((f"  {label:<9} ", "cyan"), (text, style)), soft_wrap=not chat.console.is_terminal)


def _decimal(value: Any) -> Decimal | None:
    return None if value is None else Decimal(value)


def _money(value: Any) -> str:
    return "–" if value is None else amount(Decimal(value))


def _share(value: Any) -> str:
    return "–" if value is None else percent(Decimal(value))
