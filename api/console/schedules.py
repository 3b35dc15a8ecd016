"""Schedules and pauses for people, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.console import Console
from rich.text import Text

from api.console.screen import Line, table
from api.console.text import clean, when
from graph.schedules.standing import Standing
from graph.schedules.timetable import zone
from trading_core.domain.clock import iso
from trading_core.domain.money import plain
from trading_core.persistence.desk_records import Budget, Pause, Schedule

Row = tuple[Schedule, tuple[datetime, ...], Standing]


def timing(schedule: Schedule) -> str:
    """When it ticks, in a few words."""
    if schedule.cron is not None:
        return f"{schedule.cron} {schedule.timezone}"
    length = schedule.every_seconds or 0
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if length % size == 0:
            return f"every {length // size}{unit}"
    return f"every {length}s"


def one_line(schedule: Schedule, ticks: Sequence[datetime]) -> str:
    """What a schedule now is."""
    upcoming = f"next at {when(ticks[0])} UTC" if ticks else "it has no tick to come"
    return f"{clean(schedule.name)} ({schedule.id}) on {clean(schedule.account_id)}: {timing(schedule)}, {upcoming}"


def tick_lines(schedule: Schedule, ticks: Sequence[datetime]) -> list[str]:
    """Ticks to come, in UTC and in the schedule's zone."""
    where = zone(schedule.timezone)
    return [f"{iso(tick)}  {tick.astimezone(where):%a %Y-%m-%d %H:%M:%S %Z}" for tick in ticks]


def state(standing: Standing) -> str:
    """Whether a tick of this moment would run."""
    return "runs" if standing.hindered is None else f"skips: {standing.hindered.reason.value}"


def show(console: Console, rows: Sequence[Row]) -> None:
    """Every schedule in a line."""
    if not rows:
        console.print("There are no schedules. `schedule add` makes one.")
        return
    made = table("Schedules", "name", "account", "when", "symbols", "next UTC", "last UTC", "state")
    for schedule, ticks, standing in rows:
        made.add_row(
            clean(schedule.name),
            clean(schedule.account_id),
            timing(schedule),
            clean(", ".join(schedule.symbols)) or "all",
            when(ticks[0]) if ticks else "never",
            when(schedule.last_tick) if schedule.last_tick else "never",
            Text(state(standing), style="" if standing.hindered is None else "yellow"),
        )
    console.print(made)


def show_one(console: Console, schedule: Schedule, ticks: Sequence[datetime], standing: Standing) -> None:
    """One schedule with how it stands."""
    console.print(Text(one_line(schedule, ticks), style="bold"))
    console.print(Line("symbols", "", clean(", ".join(schedule.symbols)) or "all that the account trades"))
    console.print(Line("missed", "", schedule.misfire.value.replace("_", " ")))
    console.print(Line("overlap", "", schedule.overlap.value))
    console.print(Line("answers", "", f"{clean(schedule.owner)}, version {schedule.version}"))
    console.print(Line("today", "", _used(schedule.budget, standing)))
    if standing.last_run is not None:
        console.print(Line("last run", "", f"{standing.last_run.id}: {standing.last_run.state.value}"))
    if standing.last_skip is not None:
        told = standing.last_skip.data
        console.print(Line("skipped", "", f"{told.get('tick')}: {clean(str(told.get('detail')))}"))
    now = "a tick would run" if standing.hindered is None else f"a tick is skipped: {clean(standing.hindered.detail)}"
    console.print(Line("now", "", now, style="" if standing.hindered is None else "yellow"))
    for line in tick_lines(schedule, ticks):
        console.print(Line("next", "", line))


def _used(budget: Budget, standing: Standing) -> str:
    spent, parts = standing.spent, []
    for name, used, most in (
        ("tokens", str(spent.tokens), budget.tokens),
        ("US dollars", plain(spent.cost), None if budget.cost is None else plain(budget.cost)),
        ("orders", str(spent.orders), budget.orders),
    ):
        parts.append(f"{used} {name}" if most is None else f"{used} of {most} {name}")
    return ", ".join(parts)


def document(schedule: Schedule, ticks: Sequence[datetime], standing: Standing) -> dict[str, object]:
    """A schedule as JSON."""
    budget, spent = schedule.budget, standing.spent
    return {
        "id": schedule.id,
        "account": schedule.account_id,
        "name": schedule.name,
        "owner": schedule.owner,
        "cron": schedule.cron,
        "every_seconds": schedule.every_seconds,
        "timezone": schedule.timezone,
        "symbols": list(schedule.symbols),
        "misfire": schedule.misfire.value,
        "overlap": schedule.overlap.value,
        "budget": {"tokens": budget.tokens, "cost": None if budget.cost is None else plain(budget.cost), "orders": budget.orders},
        "used_today": {"tokens": spent.tokens, "cost": plain(spent.cost), "orders": spent.orders},
        "version": schedule.version,
        "last_tick": iso(schedule.last_tick) if schedule.last_tick else None,
        "next_ticks": [iso(tick) for tick in ticks],
        "hindered": None
        if standing.hindered is None
        else {"reason": standing.hindered.reason.value, "detail": standing.hindered.detail},
        "last_run": None if standing.last_run is None else {"id": standing.last_run.id, "state": standing.last_run.state.value},
        "last_skip": None if standing.last_skip is None else dict(standing.last_skip.data),
    }


def pause_document(pause: Pause) -> dict[str, object]:
    """A pause as JSON."""
    return {
        "account": pause.account_id,
        "kind": pause.kind.value,
        "subject": pause.subject,
        "by": pause.by,
        "reason": pause.reason,
        "at": iso(pause.at),
    }


def show_pauses(console: Console, pauses: Sequence[Pause]) -> None:
    """Every pause in a line."""
    if not pauses:
        console.print("Nothing is paused.")
        return
    made = table("Paused", "account", "what", "since UTC", "by", "why")
    for pause in pauses:
        what = " ".join(part for part in (pause.kind.value, pause.subject) if part)
        made.add_row(clean(pause.account_id), clean(what), when(pause.at), clean(pause.by), clean(pause.reason))
    console.print(made)
