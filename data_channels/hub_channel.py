"""One kind of readings out of the hub's memory: what its sources said of a symbol, and how far that can be relied on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from data_channels.base import Kind
from data_channels.crosscheck import Finding
from data_channels.status import age_text
from data_channels.worker import Worker
from trading_core.domain.clock import utc
from trading_core.domain.market import ChannelReport, Reading, ReadingState

LIVE, STALE, DEGRADED, OFF = ReadingState.LIVE, ReadingState.STALE, ReadingState.DEGRADED, ReadingState.OFF


@dataclass(frozen=True, slots=True)
class _View:
    """What one source says of one symbol. `is_missed` is one that was asked, and is off because it refused."""

    source: str
    state: ReadingState
    reason: str = ""
    readings: tuple[Reading, ...] = ()
    is_missed: bool = False


class HubChannel:
    """A `Channel` over the sources of one kind.

    It remembers only the last readings of each source, and the state of a source is the present one: it answers for instants
    that have just passed. A replay of the past reads the store instead.

    Args:
        workers: of the kind's sources.
        symbols: what they are asked about.
        contradicted: the prices in doubt of a symbol at an instant, of these sources and of venues.
    """

    def __init__(
        self,
        kind: Kind,
        workers: Sequence[Worker],
        symbols: Collection[str],
        contradicted: Callable[[str, datetime], Awaitable[Sequence[Finding]]],
    ) -> None:
        self.kind = kind.value
        self.name = f"{kind.value} ({', '.join(worker.source.name for worker in workers)})"
        self._workers, self._symbols, self._contradicted = workers, symbols, contradicted

    async def report(self, symbol: str, *, as_of: datetime) -> ChannelReport:
        """What was known about `symbol` at `as_of`, without what is in doubt.

        The state is live when every source that is on and knows the symbol is; degraded when some of them are silent, stale, or
        say what is in doubt; stale when there is nothing but old readings; and off, with each source's reason, when there is
        nobody to ask.

        Raises:
            InvalidInput: for an `as_of` without a time zone.
        """
        instant = utc(as_of)
        if symbol not in self._symbols:
            return ChannelReport(self.kind, symbol, OFF, f"{symbol} is not among the symbols that are followed.")
        findings = await self._contradicted(symbol, instant)
        return _combined(self.kind, symbol, [_view(worker, symbol, instant, findings) for worker in self._workers], findings)


def _view(worker: Worker, symbol: str, as_of: datetime, findings: Sequence[Finding]) -> _View:
    name = worker.source.name
    if worker.off:
        return _View(name, OFF, f"{name} is off: {worker.off}", is_missed=worker.counters.asked > 0)
    doubted = {finding.name for finding in findings if finding.source == name}
    remembered = worker.memory.known(symbol, as_of)
    readings = tuple(reading for reading in remembered if reading.name not in doubted)
    rejected = [finding for finding in worker.findings if finding.symbol == symbol]
    if not remembered and not rejected:
        if not worker.asked_once.is_set():
            return _View(name, DEGRADED, f"{name} has not answered yet")
        if worker.failing:
            return _View(name, DEGRADED, f"{name}: {worker.trouble}")
        return _View(name, OFF, f"{name} says nothing of {symbol}")
    reason = f"{name}: {worker.trouble}" if worker.failing else "; ".join(str(finding) for finding in rejected)
    stale_after = worker.source.pace.stale_after
    age = as_of - max((reading.published_at for reading in remembered), default=as_of)
    if age > stale_after:
        old = f"{name}: its newest reading is {age_text(age)} old"
        return _View(name, STALE, f"{old}; {reason}" if reason else old, readings)
    # What it has stopped telling, while it tells other things, is not known any more.
    fresh = tuple(reading for reading in readings if as_of - reading.published_at <= stale_after)
    return _View(name, DEGRADED if reason or doubted else LIVE, reason, fresh)


def _combined(kind: str, symbol: str, views: Sequence[_View], findings: Sequence[Finding]) -> ChannelReport:
    on = [view for view in views if view.state is not OFF]
    states = {view.state for view in on}
    # A source without a key was never there, and one that does not know the symbol is well: neither is missed.
    is_whole = states == {LIVE} and not findings and not any(view.is_missed for view in views)
    if not on:
        state = OFF
    elif LIVE in states:
        state = LIVE if is_whole else DEGRADED
    elif STALE in states and not any(view.readings for view in on if view.state is DEGRADED):
        state = STALE
    else:
        state = DEGRADED
    reasons = [view.reason for view in views if view.reason] + [str(finding) for finding in findings]
    # Old readings are told where there are no others, and not among fresh ones.
    readings = tuple(reading for view in on if view.state is not STALE or state is STALE for reading in view.readings)
    return ChannelReport(kind, symbol, state, ". ".join(reasons) + "." if reasons else "", readings)
