"""What can go wrong between a source of readings and the service it asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime

PAGE = b"<html><head><title>Just a moment...</title></head><body><h1>Checking your browser</h1></body></html>"


@dataclass(frozen=True, slots=True)
class Fault:
    """What becomes of one answer.

    Attributes:
        name: shown in test ids.
        status: instead of the answer's own; None leaves it.
        headers: come on top of the answer's own.
        body: instead of the answer's own.
        reshaped: what the JSON of the answer becomes.
        sent: the fraction of the body that is sent; its length is told as if that were all.
        breaks_off: after that fraction the line is cut, though more was promised.
        seconds: to wait before the answer.
        resets: the line is reset without an answer.
    """

    name: str
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    reshaped: Callable[[object], object] | None = None
    sent: float = 1.0
    breaks_off: bool = False
    seconds: float = 0.0
    resets: bool = False


def renamed(value: object) -> object:
    """The same structure with every field under another name."""
    if isinstance(value, dict):
        return {f"{key}_v9": renamed(item) for key, item in value.items()}
    return [renamed(item) for item in value] if isinstance(value, list) else value


def retyped(value: object) -> object:
    """The same fields with another type in every leaf: an object where a number, a text or nothing was."""
    if isinstance(value, dict):
        return {key: retyped(item) for key, item in value.items()}
    return [retyped(item) for item in value] if isinstance(value, list) else {"value": value}


def rate_limited(retry_after: str | datetime | None = None) -> Fault:
    """429, with `Retry-After` as given: seconds as text, or an instant, which is written as an HTTP date."""
    if retry_after is None:
        return Fault("429", 429, body=b'{"error": "rate limit"}')
    told = retry_after if isinstance(retry_after, str) else format_datetime(retry_after, usegmt=True)
    return Fault("429 with Retry-After", 429, {"Retry-After": told}, body=b'{"error": "rate limit"}')


def slow(seconds: float) -> Fault:
    return Fault("slow", seconds=seconds)


UNAUTHORIZED = Fault("401", 401, body=b'{"error": "invalid api key"}')
PAYMENT_REQUIRED = Fault("402", 402, body=b'{"error": "upgrade your plan"}')
FORBIDDEN = Fault("403", 403, body=b'{"error": "forbidden"}')
NOT_FOUND = Fault("404", 404, body=b'{"error": "not found"}')
RATE_LIMITED = rate_limited()
SERVER_ERROR = Fault("500", 500, body=b"Internal Server Error")
BAD_GATEWAY = Fault("502 with a page", 502, {"Content-Type": "text/html"}, body=PAGE)
UNAVAILABLE = Fault("503", 503, body=b"")
HTML = Fault("a page instead of JSON", 200, {"Content-Type": "text/html"}, body=PAGE)
EMPTY = Fault("empty", 200, body=b"")
TRUNCATED = Fault("truncated", sent=0.5)
BROKEN_OFF = Fault("broken off", sent=0.5, breaks_off=True)
RENAMED = Fault("fields renamed", reshaped=renamed)
RETYPED = Fault("types changed", reshaped=retyped)
OVERSIZED = Fault("oversized", body=b"[" + b"0," * 1_500_000 + b"0]")
RESET = Fault("reset", resets=True)

REFUSALS = (UNAUTHORIZED, PAYMENT_REQUIRED, FORBIDDEN)
"""Asking again does not help."""

OUTAGES = (
    NOT_FOUND,
    RATE_LIMITED,
    SERVER_ERROR,
    BAD_GATEWAY,
    UNAVAILABLE,
    HTML,
    EMPTY,
    TRUNCATED,
    BROKEN_OFF,
    RENAMED,
    RETYPED,
    OVERSIZED,
    RESET,
)
"""It may work later. `slow` is not among them: how slow is too slow depends on the client."""
