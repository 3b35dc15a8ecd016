"""The trades of each minute, added up. They may come in any order; a bar of any length is made of minutes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from data_channels.market.streaming.tape import Trade
from trading_core.domain.clock import to_ms
from trading_core.domain.market import Bar

MINUTE_MS = 60_000
KEPT_MINUTES = 1_500
"""A day of minutes and an hour: the longest bar that is made of them."""


@dataclass(slots=True)
class _Minute:
    first: tuple[int, int]
    open: Decimal
    last: tuple[int, int]
    close: Decimal
    high: Decimal
    low: Decimal
    volume: Decimal


class Minutes:
    """What was traded in each of the newest minutes of one market."""

    def __init__(self) -> None:
        self._minutes: dict[int, _Minute] = {}

    def __len__(self) -> int:
        return len(self._minutes)

    def add(self, trade: Trade) -> None:
        """Count a trade into its minute. Each trade once."""
        at, order, price = trade.at_ms // MINUTE_MS, trade.order, trade.price
        minute = self._minutes.get(at)
        if minute is None:
            self._minutes[at] = _Minute(order, price, order, price, price, price, trade.quantity)
            if len(self._minutes) > KEPT_MINUTES:
                del self._minutes[min(self._minutes)]
            return
        if order < minute.first:
            minute.first, minute.open = order, price
        if order > minute.last:
            minute.last, minute.close = order, price
        if price > minute.high:
            minute.high = price
        if price < minute.low:
            minute.low = price
        minute.volume += trade.quantity

    def bar(self, opened_at: datetime, length: timedelta) -> Bar | None:
        """The bar of an interval of whole minutes; None when nothing was traded, or when it is longer than what is kept.

        Venues do not agree on the bar of an interval without a trade: some repeat the last close, some leave it out.
        """
        start, count = to_ms(opened_at) // MINUTE_MS, length // timedelta(minutes=1)
        found = [self._minutes[at] for at in range(start, start + count) if at in self._minutes] if count < KEPT_MINUTES else []
        if not found:
            return None
        return Bar(
            opened_at=opened_at,
            open=found[0].open,
            high=max(minute.high for minute in found),
            low=min(minute.low for minute in found),
            close=found[-1].close,
            volume=sum((minute.volume for minute in found), Decimal(0)),
        )
