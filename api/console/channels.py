"""Sources of readings for people: a table of how each stands, and what they say as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from api.console.screen import table
from api.console.text import clean, measure
from data_channels.base import Kind
from data_channels.hub import ChannelHub
from data_channels.status import SourceStatus, age_text
from trading_core.domain.clock import SystemClock, iso
from trading_core.domain.market import ReadingState

_STYLE = {
    ReadingState.LIVE: "green",
    ReadingState.DEGRADED: "yellow",
    ReadingState.STALE: "yellow",
    ReadingState.OFF: "dim",
}
_LOOK_EVERY = 1.0  # seconds


def show_sources(console: Console, found: Sequence[SourceStatus]) -> None:
    """A row for each source, and below the table why those that are not live are not."""
    console.print(_sources(found))
    for one in found:
        if one.reason:
            console.print(Text(f"{one.source}: {clean(one.reason)}", style=_STYLE[one.state]))


def _sources(found: Sequence[SourceStatus]) -> RenderableType:
    right = ("age", "readings", "failed", "ms", "rate left")
    made = table("Sources of readings", "source", "kind", "state", *right, "last error", right=right)
    for one in found:
        metrics = one.metrics
        made.add_row(
            one.source,
            one.kind.value,
            Text(one.state.value, _STYLE[one.state]),
            age_text(one.age) if one.age is not None else "–",
            str(metrics.readings),
            f"{metrics.failed} of {metrics.asked}",
            f"{metrics.latency.p50:.0f}" if metrics.latency else "–",
            f"{one.rate_left:.0f}",
            clean(one.last_error)[:60],
        )
    return made


def status_document(one: SourceStatus) -> dict[str, object]:
    """The same as JSON."""
    metrics = one.metrics
    return {
        "source": one.source,
        "kind": one.kind.value,
        "state": one.state.value,
        "reason": one.reason,
        "age_seconds": one.age.total_seconds() if one.age is not None else None,
        "readings": metrics.readings,
        "asked": metrics.asked,
        "failed": metrics.failed,
        "rejected": metrics.rejected,
        "rate_left": one.rate_left,
        "last_error": one.last_error,
        "next_ask_at": iso(one.next_ask_at) if one.next_ask_at else None,
        "findings": [str(finding) for finding in one.findings],
    }


async def watching(console: Console, hub: ChannelHub, symbol: str, seconds: float | None) -> None:
    """What the sources say of a symbol, renewed each second; on a pipe, once at the end."""
    loop = asyncio.get_running_loop()
    ends = None if seconds is None else loop.time() + seconds
    with Live(console=console, auto_refresh=False, transient=False) as live:
        while True:
            live.update(Group(_sources(hub.statuses()), Text(), await _readings(hub, symbol)), refresh=True)
            left = _LOOK_EVERY if ends is None else min(_LOOK_EVERY, ends - loop.time())
            if left <= 0:
                return
            await asyncio.sleep(left)


async def _readings(hub: ChannelHub, symbol: str) -> RenderableType:
    now = SystemClock().now()
    made = table(f"What they say of {symbol}", "source", "what", "value", "unit", "count", "age", right=("value", "count", "age"))
    notes: list[RenderableType] = []
    for kind in Kind:
        channel = hub.channel(kind)
        if channel is None:
            continue
        report = await channel.report(symbol, as_of=now)
        if report.reason:
            notes.append(Text(f"{kind.value} {report.state.value}: {clean(report.reason)}", style=_STYLE[report.state]))
        for reading in report.readings:
            age = age_text(now - reading.published_at)
            made.add_row(reading.source, reading.name, measure(reading.value), reading.unit, str(reading.count), age)
    return Group(made, *notes)
