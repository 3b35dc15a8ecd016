"""`schedule …`: when the desk runs by itself. The person at the machine acts on the desk's ledger; no API is needed."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from api.commands.options import AsJson
from api.desk_database import DeskLocation, desk_database, person_on
from api.home import HomeContext
from trading_core.domain.errors import InvalidInput
from trading_core.persistence.desk_records import Misfire, Overlap

if TYPE_CHECKING:
    from graph.schedules.plan import Plan
    from graph.schedules.service import Schedules
    from trading_core.auth.permissions import Principal
    from trading_core.persistence.desk_records import Budget

T = TypeVar("T")
MOST_SHOWN = 100  # of the ticks to come
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_NONE = "none"

schedule = typer.Typer(name="schedule", no_args_is_help=True, help="When the desk runs by itself: at intervals, or by cron.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="Of the schedule, or its id.")]
Account = Annotated[str | None, typer.Option(metavar="ID", help="Default: the account that ran last.")]
Every = Annotated[str | None, typer.Option(metavar="TIME", help="Such as 30s, 15m, 4h or 1d; at least 10s.")]
Cron = Annotated[str | None, typer.Option(metavar="FIELDS", help='Five fields, such as "0 * * * *" or "30 8 * * 1-5".')]
Zone = Annotated[str | None, typer.Option(metavar="ZONE", help="Cron is read in this IANA zone, such as Europe/Berlin.")]
Symbols = Annotated[str | None, typer.Option(metavar="A/B,C/D", help="Look at these only. Default: all that the account trades.")]
OnMisfire = Annotated[Misfire | None, typer.Option(help="Ticks that pass while nothing runs.")]
OnOverlap = Annotated[Overlap | None, typer.Option(help="A tick while the run before is not over; at most one waits.")]
MostTokens = Annotated[str | None, typer.Option(metavar="N", help="Of models in a day, UTC; `none` for no bound.")]
MostCost = Annotated[str | None, typer.Option(metavar="USD", help="For models in a day; only where the model's price is known.")]
MostOrders = Annotated[str | None, typer.Option(metavar="N", help="Sent in a day, protective stops apart.")]
Why = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept with the change.")]


@schedule.command()
def add(
    ctx: HomeContext,
    name: Annotated[str, typer.Argument(metavar="NAME")],
    every: Every = None,
    cron: Cron = None,
    timezone: Zone = None,
    symbols: Symbols = None,
    misfire: OnMisfire = None,
    overlap: OnOverlap = None,
    most_tokens: MostTokens = None,
    most_cost: MostCost = None,
    most_orders: MostOrders = None,
    account: Account = None,
    database: DeskLocation = None,
) -> None:
    """Have a cycle run at each tick from now on, wherever a process serves the account."""
    from api.console.schedules import one_line
    from graph.schedules.plan import Plan

    plan = _planned(Plan(name), every, cron, timezone, symbols, misfire, overlap, (most_tokens, most_cost, most_orders))

    async def work(schedules: Schedules, who: Principal, account_id: str) -> str:
        made = await schedules.add(who, account_id, plan)
        return one_line(made, schedules.next_ticks(made, 1))

    typer.echo(_on_desk(ctx, database, account, work))


@schedule.command("list")
def list_schedules(ctx: HomeContext, account: Account = None, database: DeskLocation = None, as_json: AsJson = False) -> None:
    """List the schedules with their next and last ticks, and what keeps them from running."""
    from api.console.schedules import Row, document, show
    from api.console.screen import output

    async def work(schedules: Schedules, who: Principal, _: str) -> list[Row]:
        found = await schedules.all(who, None if account is None else (account,))
        return [(each, schedules.next_ticks(each, 1), await schedules.standing(who, each)) for each in found]

    rows = _on_desk(ctx, database, account, work)
    if as_json:
        typer.echo(json.dumps([document(*row) for row in rows], indent=2))
    else:
        show(output(), rows)


@schedule.command("show")
def show_schedule(
    ctx: HomeContext, name: Name, account: Account = None, database: DeskLocation = None, as_json: AsJson = False
) -> None:
    """Show one schedule: its plan, what it has used today, and what became of its last ticks."""
    from api.console.schedules import Row, document, show_one
    from api.console.screen import output

    async def work(schedules: Schedules, who: Principal, _: str) -> Row:
        found = await schedules.find(who, name, account)
        return found, schedules.next_ticks(found, 3), await schedules.standing(who, found)

    row = _on_desk(ctx, database, account, work)
    if as_json:
        typer.echo(json.dumps(document(*row), indent=2))
    else:
        show_one(output(), *row)


@schedule.command()
def change(
    ctx: HomeContext,
    name: Name,
    rename: Annotated[str | None, typer.Option(metavar="NAME", help="Another name.")] = None,
    every: Every = None,
    cron: Cron = None,
    timezone: Zone = None,
    symbols: Symbols = None,
    misfire: OnMisfire = None,
    overlap: OnOverlap = None,
    most_tokens: MostTokens = None,
    most_cost: MostCost = None,
    most_orders: MostOrders = None,
    account: Account = None,
    database: DeskLocation = None,
) -> None:
    """Change what is given and leave the rest. `--symbols all` is for all that the account trades."""
    from api.console.schedules import one_line
    from graph.schedules.plan import Plan

    async def work(schedules: Schedules, who: Principal, _: str) -> str:
        known = await schedules.find(who, name, account)
        start = replace(Plan.of(known), name=rename or known.name)
        budget = (most_tokens, most_cost, most_orders)
        plan = _planned(start, every, cron, timezone, symbols, misfire, overlap, budget)
        after = await schedules.change(who, known.id, plan, known.version)
        return one_line(after, schedules.next_ticks(after, 1))

    typer.echo(_on_desk(ctx, database, account, work))


@schedule.command()
def pause(ctx: HomeContext, name: Name, reason: Why, account: Account = None, database: DeskLocation = None) -> None:
    """Skip its ticks until it is resumed."""

    async def work(schedules: Schedules, who: Principal, _: str) -> str:
        known = await schedules.find(who, name, account)
        put = await schedules.pause(who, known.id, reason)
        return f"{known.name}: paused by {put.by}: {put.reason}"

    typer.echo(_on_desk(ctx, database, account, work))


@schedule.command()
def resume(ctx: HomeContext, name: Name, reason: Why = "", account: Account = None, database: DeskLocation = None) -> None:
    """Let its ticks run again, from the next one on."""
    from api.console.schedules import one_line

    async def work(schedules: Schedules, who: Principal, _: str) -> str:
        known = await schedules.find(who, name, account)
        await schedules.resume(who, known.id, reason)
        return one_line(known, schedules.next_ticks(known, 1))

    typer.echo(_on_desk(ctx, database, account, work))


@schedule.command()
def remove(ctx: HomeContext, name: Name, account: Account = None, database: DeskLocation = None) -> None:
    """Have no more ticks. Runs it asked for go on."""

    async def work(schedules: Schedules, who: Principal, _: str) -> str:
        known = await schedules.find(who, name, account)
        return f"{(await schedules.remove(who, known.id)).name}: removed"

    typer.echo(_on_desk(ctx, database, account, work))


@schedule.command("next")
def next_(
    ctx: HomeContext,
    name: Name,
    count: Annotated[int, typer.Option("-n", "--count", min=1, max=MOST_SHOWN, help="How many.")] = 5,
    account: Account = None,
    database: DeskLocation = None,
    as_json: AsJson = False,
) -> None:
    """Show its next ticks, in UTC and in its zone."""
    from api.console.schedules import tick_lines
    from trading_core.domain.clock import iso

    async def work(schedules: Schedules, who: Principal, _: str) -> tuple[str, list[str]]:
        known = await schedules.find(who, name, account)
        ticks = schedules.next_ticks(known, count)
        return json.dumps([iso(tick) for tick in ticks], indent=2), tick_lines(known, ticks)

    document, lines = _on_desk(ctx, database, account, work)
    typer.echo(document if as_json else "\n".join(lines))


@schedule.command("run")
def run_now(ctx: HomeContext, name: Name, account: Account = None, database: DeskLocation = None) -> None:
    """Ask for its run now, beside its ticks. The process that serves the account does it."""

    async def work(schedules: Schedules, who: Principal, _: str) -> str:
        known = await schedules.find(who, name, account)
        record = await schedules.ask_now(who, known.id, secrets.token_hex(16))
        return f"run {record.id} is queued; it starts as soon as a process serves account {known.account_id}"

    typer.echo(_on_desk(ctx, database, account, work))


def _on_desk(
    ctx: HomeContext,
    database: str | None,
    account: str | None,
    work: Callable[[Schedules, Principal, str], Awaitable[T]],
) -> T:
    async def go() -> T:
        async with _opened(ctx, database, account) as (schedules, who, account_id):
            return await work(schedules, who, account_id)

    return asyncio.run(go())


@asynccontextmanager
async def _opened(ctx: HomeContext, location: str | None, account: str | None) -> AsyncIterator[tuple[Schedules, Principal, str]]:
    from graph.schedules.service import Schedules
    from trading_core.domain.clock import SystemClock

    async with desk_database(ctx.obj, location) as database:
        who, account_id = await person_on(database, account)
        yield Schedules(database, SystemClock()), who, account_id


def _planned(
    start: Plan,
    every: str | None,
    cron: str | None,
    timezone: str | None,
    symbols: str | None,
    misfire: Misfire | None,
    overlap: Overlap | None,
    budget: tuple[str | None, str | None, str | None],
) -> Plan:
    """A plan with what was given put into it. A new interval takes the place of a cron expression, and the other way round."""
    if every is not None or cron is not None:
        start = replace(start, every_seconds=None if every is None else seconds(every), cron=cron)
    if symbols is not None:
        listed = () if symbols == "all" else tuple(symbol.strip() for symbol in symbols.split(","))
        start = replace(start, symbols=listed)
    return replace(
        start,
        timezone=start.timezone if timezone is None else timezone,
        misfire=misfire or start.misfire,
        overlap=overlap or start.overlap,
        budget=_budget(start.budget, *budget),
    )


def _budget(start: Budget, tokens: str | None, cost: str | None, orders: str | None) -> Budget:
    from trading_core.domain.money import decimal

    def whole(text: str | None, before: int | None, name: str) -> int | None:
        if text is None:
            return before
        if text == _NONE:
            return None
        if not re.fullmatch(r"[0-9]{1,15}", text):
            raise InvalidInput(f"{name} is {text!r}", not_done="Nothing was changed", next_step="Give a whole number, or `none`")
        return int(text)

    dollars = start.cost if cost is None else None if cost == _NONE else decimal(cost, name="--most-cost")
    return replace(
        start,
        tokens=whole(tokens, start.tokens, "--most-tokens"),
        cost=dollars,
        orders=whole(orders, start.orders, "--most-orders"),
    )


def seconds(text: str) -> int:
    """An interval as people write it, in seconds.

    Raises:
        InvalidInput: it is none.
    """
    found = re.fullmatch(r"([0-9]{1,9})([smhdw]?)", text.strip().lower())
    if found is None:
        raise InvalidInput(
            f"{text!r} is no interval", not_done="Nothing was changed", next_step="Write it like 30s, 15m, 4h or 1d"
        )
    return int(found[1]) * _UNITS[found[2]]
