"""Reading the times that these services write. An error names the place, never what stood there: that is a stranger's text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from data_channels.answer import Node
from trading_core.domain.clock import utc
from trading_core.domain.errors import ChannelUnavailable

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_SECOND = 4_102_444_800  # 2100-01-01: what lies beyond was told in another unit


def unix_instant(node: Node) -> datetime:
    """A Unix time in seconds, written as a number or as a text of digits, with or without a fraction.

    Raises:
        ChannelUnavailable: it is something else.
    """
    seconds = node.number()
    if not 0 < seconds < _LAST_SECOND:
        raise _changed(node, "a time in seconds of this century")
    return _EPOCH + timedelta(microseconds=int(seconds * Decimal(1_000_000)))


def iso_instant(node: Node) -> datetime:
    """A time in ISO 8601 with its offset.

    Raises:
        ChannelUnavailable: it is something else.
    """
    text = node.text()
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise _changed(node, "a time in ISO 8601") from None
    if instant.tzinfo is None:
        raise _changed(node, "a time with its offset")
    return utc(instant)


def _changed(node: Node, wanted: str) -> ChannelUnavailable:
    return ChannelUnavailable(
        f"{node.service} {node.path}: {node.place} should be {wanted}",
        not_done="Nothing of this answer was used",
        next_step="The service has changed; look for a newer version of this desk",
    )
