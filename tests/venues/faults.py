"""What can go wrong between a client and a venue: the switches of `tests.venues.server`.

    server.faults.queue("place", REPLY_LOST)             # the next order is executed, and nobody hears of it
    server.faults.always(maintenance())                  # until `clear`
    server.faults.sample(random.Random(7), 0.05, WRITE_FAULTS, ("place", "cancel"))

Operations: `place cancel cancel_all order open_orders orders trades balance permissions fees markets ticker book
candles tape time status`.
"""

from __future__ import annotations

import random
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from tests.venues.stream_faults import Breakable, StreamFaults


class Trouble(StrEnum):
    """What the venue itself says is wrong; each venue has its own status and body for it."""

    RATE_LIMIT = "rate limit"
    BAN = "address banned"
    SERVER_ERROR = "internal error"
    MAINTENANCE = "maintenance"
    NO_PERMISSION = "wrong permissions"
    BAD_KEY = "bad key"


class Line(StrEnum):
    """What the connection does to an answer."""

    CLOSES = "closed without an answer"
    RESETS = "reset"
    BREAKS_BODY = "status 200 and half of the body"
    DRIPS = "the body comes in single bytes"
    WAITS = "the answer is late"
    HTML = "a proxy's page instead of the answer"


class Listing(StrEnum):
    """What is wrong with a list in an answer."""

    DOUBLED = "every row twice"
    REORDERED = "youngest first"


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with one request.

    Attributes:
        executes: whether the venue does what was asked before it goes wrong.
        seconds: of waiting or dripping.
        retry_after: of the header of that name, in seconds.
        skew_ms: how far ahead the venue's clock is, behind when negative.
        status: of the HTTP answer, where the fault sets one.
    """

    name: str
    executes: bool = True
    line: Line | None = None
    trouble: Trouble | None = None
    listing: Listing | None = None
    seconds: float = 0.0
    retry_after: int | None = None
    skew_ms: int = 0
    status: int = 200


REPLY_LOST = Fault("reply lost after execution", line=Line.CLOSES)
RESET_BEFORE = Fault("reset before execution", executes=False, line=Line.RESETS)
RESET_AFTER = Fault("reset after execution", line=Line.RESETS)
BROKEN_BODY = Fault("broken body", line=Line.BREAKS_BODY)
ERROR_BEFORE = Fault("5xx before execution", executes=False, trouble=Trouble.SERVER_ERROR, status=500)
ERROR_AFTER = Fault("5xx after execution", trouble=Trouble.SERVER_ERROR, status=503)
HTML_BEFORE = Fault("HTML page before execution", executes=False, line=Line.HTML, status=502)
HTML_AFTER = Fault("HTML page after execution", line=Line.HTML, status=504)
HTML_200 = Fault("HTML page with status 200", line=Line.HTML)
DOUBLED = Fault("doubled listing", listing=Listing.DOUBLED)
REORDERED = Fault("reordered listing", listing=Listing.REORDERED)
NO_PERMISSION = Fault("wrong permissions", executes=False, trouble=Trouble.NO_PERMISSION)
BAD_KEY = Fault("bad key", executes=False, trouble=Trouble.BAD_KEY)


def rate_limited(retry_after: int | None = None) -> Fault:
    """429; `retry_after` in seconds, None for a venue that does not say."""
    return Fault("rate limited", executes=False, trouble=Trouble.RATE_LIMIT, retry_after=retry_after)


def banned(retry_after: int | None = 120) -> Fault:
    """418: the address is banned for a while."""
    return Fault("banned", executes=False, trouble=Trouble.BAN, retry_after=retry_after)


def maintenance() -> Fault:
    return Fault("maintenance", executes=False, trouble=Trouble.MAINTENANCE)


def late(seconds: float) -> Fault:
    """Executed at once, answered after `seconds`."""
    return Fault("late reply", line=Line.WAITS, seconds=seconds)


def drip(seconds: float) -> Fault:
    """Executed at once; the answer's body takes `seconds` to arrive."""
    return Fault("slow drip", line=Line.DRIPS, seconds=seconds)


def skewed(milliseconds: int) -> Fault:
    """The venue's clock is ahead by so much, or behind when negative; its own check of timestamps decides."""
    return Fault("clock skew", skew_ms=milliseconds)


WRITE_FAULTS: tuple[Fault, ...] = (
    REPLY_LOST,
    RESET_BEFORE,
    RESET_AFTER,
    BROKEN_BODY,
    ERROR_BEFORE,
    ERROR_AFTER,
    HTML_BEFORE,
    HTML_AFTER,
    HTML_200,
    rate_limited(),
    rate_limited(1),
    skewed(-60_000),
    skewed(60_000),
)
"""Every kind a write can meet that costs no waiting and does not mean the end of all requests."""


class Faults:
    """Which fault the next request of an operation meets; `streams` has those of the sockets in `live`."""

    def __init__(self, live: Sequence[Breakable] = ()) -> None:
        self.streams = StreamFaults(live)
        self.clear()

    def clear(self) -> None:
        """All is well from here on."""
        self.streams.clear()
        self._queues: defaultdict[str, deque[Fault | None]] = defaultdict(deque)
        self._always: dict[str, Fault] = {}
        self._sample: tuple[random.Random, float, Sequence[Fault], frozenset[str]] | None = None

    def queue(self, operation: str, *faults: Fault | None) -> None:
        """For the next requests of `operation`, one each; None lets one pass."""
        self._queues[operation].extend(faults)

    def always(self, fault: Fault, *operations: str) -> None:
        """For every request of these operations; of all when none is named."""
        self._always.update(dict.fromkeys(operations or ("*",), fault))

    def sample(self, chance: random.Random, share: float, faults: Sequence[Fault], operations: Sequence[str]) -> None:
        """For that share (0 to 1) of the requests of these operations, any of `faults`."""
        self._sample = (chance, share, faults, frozenset(operations))

    def take(self, operation: str) -> Fault | None:
        """The fault that this request meets."""
        if waiting := self._queues[operation]:
            return waiting.popleft()
        if fault := self._always.get(operation) or self._always.get("*"):
            return fault
        if self._sample:
            chance, share, faults, operations = self._sample
            if operation in operations and chance.random() < share:
                return chance.choice(faults)
        return None
