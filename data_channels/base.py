"""Channels: what the world outside the market says about a symbol, and when it said so."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

from trading_core.domain.clock import utc
from trading_core.domain.market import ChannelReport, Reading, ReadingState


class Channel(Protocol):
    """One source of readings of one kind (`sentiment`, `onchain`). `name` is shown to people."""

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
