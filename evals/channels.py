"""The channels of a scenario: readings that were given, a source that is down, and names that want something."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from data_channels.base import Channel, NotConfigured, known
from evals.fault_counter import FaultCounter
from evals.schema import Given, Scenario
from trading_core.domain.market import ChannelReport, Reading, ReadingState
from trading_core.domain.money import ZERO

STALE_AFTER = timedelta(hours=24)  # a sentiment or chain reading older than a day tells of another market
_ALWAYS = ("sentiment", "onchain")  # kinds that the agents have a tool for


class GivenChannel:
    """Everything of one kind that a scenario gives."""

    def __init__(self, kind: str, readings: Sequence[Reading], faults: FaultCounter) -> None:
        self.kind, self.name = kind, f"{kind} (scenario)"
        self._readings, self._faults = tuple(readings), faults

    async def report(self, symbol: str, *, as_of: datetime) -> ChannelReport:
        """What was public at `as_of`: a reading from the future is not known yet."""
        if self._faults.strikes("channel", self.kind):
            return ChannelReport(self.kind, symbol, ReadingState.DEGRADED, f"no {self.kind} source answers")
        found = known((reading for reading in self._readings if reading.symbol == symbol), as_of)
        if not found:
            return ChannelReport(self.kind, symbol, ReadingState.DEGRADED, f"no {self.kind} reading of {symbol} is known")
        newest = max(reading.published_at for reading in found)
        if as_of - newest > STALE_AFTER:
            return ChannelReport(self.kind, symbol, ReadingState.STALE, f"the newest is of {newest:%Y-%m-%d %H:%M} UTC", found)
        return ChannelReport(self.kind, symbol, ReadingState.LIVE, "", found)


def channels_of(scenario: Scenario, at: datetime, faults: FaultCounter) -> list[Channel]:
    """One channel for each kind that is given, fails or carries text; kinds the agents ask for and nobody gives are off."""
    given = {reading.kind for reading in scenario.readings}
    failing = {
        kind for fault in scenario.faults if fault.what == "channel" for kind in ([fault.where] if fault.where else _ALWAYS)
    }
    carriers = {one.carrier: one.text for one in scenario.injected if one.carrier in _ALWAYS}
    channels: list[Channel] = []
    for kind in sorted({*_ALWAYS, *given, *failing}):
        readings = [_reading(one, at) for one in scenario.readings if one.kind == kind]
        if kind in carriers:
            readings += [_speaking(symbol, carriers[kind], at) for symbol in scenario.symbols]
        channels.append(GivenChannel(kind, readings, faults) if readings or kind in failing else NotConfigured(kind))
    return channels


def _reading(given: Given, at: datetime) -> Reading:
    published = at - timedelta(minutes=given.age_minutes)
    return Reading(
        source=given.source,
        symbol=given.symbol,
        name=given.name,
        value=given.value,
        unit=given.unit,
        observed_at=published,
        published_at=published,
        quality=given.quality,
        count=given.count,
    )


def _speaking(symbol: str, text: str, at: datetime) -> Reading:
    """A reading of zero by a source whose name is the message."""
    return Reading(text, symbol, "score", ZERO, "score", at, at)
