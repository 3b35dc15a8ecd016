"""How a venue's streams do: what was counted, and the state of each market."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import timedelta

from trading_core.domain.market import ReadingState

_TIMES = 1024


@dataclass(slots=True)
class StreamMetrics:
    """Counted since the feed was opened.

    Attributes:
        messages: frames that were read.
        unread: frames that could not be read.
        trades: that came by the streams, each once.
        reconnects: openings after the first that the venue spoke on.
        failures: openings that ended with an error, whether it had spoken or not.
        gaps: holes in a tape that did not close by themselves.
        filled: trades that REST told and the stream had not.
        lost: holes that REST's trades did not reach over; bars over them are the venue's own.
        duplicates: trades that came again.
        late: trades of a time of which nothing was missing. Where the venue counts its trades they are left out; elsewhere they
            are taken in, and bars that lacked them are asked for anew.
        by_rest: questions that REST had to answer.
        seconds: from a frame to what a reader sees, of the newest frames.
    """

    messages: int = 0
    unread: int = 0
    trades: int = 0
    reconnects: int = 0
    failures: int = 0
    gaps: int = 0
    filled: int = 0
    lost: int = 0
    duplicates: int = 0
    late: int = 0
    by_rest: int = 0
    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=_TIMES))

    def latency(self, share: float) -> float | None:
        """Seconds that `share` (0 to 1) of the newest frames did not take longer than; None before the first."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None


@dataclass(frozen=True, slots=True)
class StreamReport:
    """The streams of one market.

    Attributes:
        state: live; stale when the venue has said nothing of its prices for too long; degraded when the streams are down and
            REST answers; off when the feed is not open.
        reason: why it is not live; empty otherwise.
        age: of the best prices; None where none are known.
        has_gap: trades are missing, and asked for.
    """

    symbol: str
    state: ReadingState
    reason: str
    age: timedelta | None
    has_gap: bool
