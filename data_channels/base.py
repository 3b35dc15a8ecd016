"""The ports of the outside world: sources, which somebody asks, and channels, which tell what was known.

A source is one outside service, written once: how to ask it and how to read its answer. The hub (`hub.py`) asks sources in
their time, keeps what they said, watches over them, and tells it as channels. Whoever decides reads channels, never sources.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from trading_core.domain.clock import utc
from trading_core.domain.market import ChannelReport, Reading, ReadingState


class Kind(StrEnum):
    """What readings are about; each kind is one channel."""

    SENTIMENT = "sentiment"
    ONCHAIN = "onchain"
    NEWS = "news"
    AGGREGATE = "aggregate"  # prices and totals over many venues: what a venue's own prices are checked against


@dataclass(frozen=True, slots=True)
class Pace:
    """How a source is asked.

    Attributes:
        every: how often it is worth asking.
        stale_after: from which age on its newest reading is stale, counted from `published_at`.
        per_minute: requests it takes a minute; the hub keeps well below.
        timeout: seconds for one round of asking.
    """

    every: timedelta
    stale_after: timedelta
    per_minute: float
    timeout: float = 20.0


class Source(Protocol):
    """One outside service.

    Attributes:
        name: shown to people, and the `source` of its readings.
        wants: the name of the secret it needs and does not have; empty when it can work. A source that wants something is off.
    """

    name: str
    kind: Kind
    pace: Pace
    wants: str

    async def fetch(self, symbols: Sequence[str], *, now: datetime) -> Sequence[Reading]:
        """What it says of these symbols now. No reading is made up: a symbol it does not know has none.

        Raises:
            ChannelUnavailable: it could not be asked or read; it may work later.
            ChannelRefused: the key is not accepted; asking again does not help.
        """
        ...

    async def close(self) -> None: ...


class Channel(Protocol):
    """Everything of one kind (`sentiment`, `onchain`, …). `name` is shown to people."""

    kind: str
    name: str

    async def report(self, symbol: str, *, as_of: datetime) -> ChannelReport:
        """What was known about `symbol` at `as_of`. A source out of reach is a report that says so, not an exception."""
        ...


class NotConfigured:
    """The channel of a desk that has no source of this kind: off, and it says why.

    It gives no readings at all. A neutral number in their place would be read as an opinion of the market.

    Args:
        kind: the kind of channel, `sentiment` or `onchain`.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.name = f"{kind} (not configured)"
        self._reason = f"No {kind} source is configured, and nothing is invented in its place."

    async def report(self, symbol: str, *, as_of: datetime) -> ChannelReport:
        """The same answer for every symbol and instant: off, no readings."""
        return ChannelReport(kind=self.kind, symbol=symbol, state=ReadingState.OFF, reason=self._reason)


def known(readings: Iterable[Reading], as_of: datetime) -> tuple[Reading, ...]:
    """The readings that were public at `as_of`, in their order.

    A value observed earlier but published later was not known yet, and is left out.

    Raises:
        InvalidInput: for an `as_of` without a time zone.
    """
    instant = utc(as_of)
    return tuple(reading for reading in readings if reading.published_at <= instant)
