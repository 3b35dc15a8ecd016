"""What a venue's private streams tell, as data. How they are listened to is in `stream.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

Frame = Mapping[str, object]
_NEVER: Frame = MappingProxyType({})


class Told(StrEnum):
    """How much of a thing a stream tells."""

    WHOLE = "whole"  # everything that a reading tells of it, to the digit
    NEWS = "news"  # that there is something to read
    NOTHING = "nothing"  # there is no such stream, or another tells the same


@dataclass(frozen=True, slots=True)
class Streams:
    """The private streams of one venue.

    A frame is matched by the fields named here, each equal, at its top or in its `event`; None stands for a field that is not
    there.

    Attributes:
        fills: what is told of executions.
        orders: what is told of orders.
        confirms: the frame by which the venue says that it tells from now on.
        refuses: the frame by which it says that it does not.
        ends: the frame by which it stops, with the socket left open.
        denials: fragments of an error that says that the key may not listen, where ccxt has no class for it.
        client_id: the raw field in which an execution names the client order id, where ccxt does not hand it on.
        keeps_open: a public channel that is listened to as well, because the venue ends those that stay quiet.
        ping_seconds: how often a sign of life is asked for.
    """

    fills: Told
    orders: Told
    confirms: Frame
    refuses: Frame = field(default_factory=lambda: _NEVER)
    ends: Frame = field(default_factory=lambda: _NEVER)
    denials: tuple[str, ...] = ()
    client_id: str = ""
    keeps_open: str = ""
    ping_seconds: float = 15.0


def matches(frame: object, pattern: Frame) -> bool:
    """Whether a frame has the fields of a pattern. An empty pattern fits nothing."""
    if not pattern or not isinstance(frame, Mapping):
        return False
    return _has(frame, pattern) or _has(frame.get("event"), pattern)


def _has(part: object, pattern: Frame) -> bool:
    return isinstance(part, Mapping) and all(part.get(name) == value for name, value in pattern.items())
