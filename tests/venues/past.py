"""A past for a local venue: prints on its tape, so that it can tell candles from before it was opened."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from tests.venues.engine import Exchange
from tests.venues.engine_types import Print, Side

DAY_MS = 86_400_000


def give_past(exchange: Exchange, symbol: str, closes: Iterable[Decimal], *, length_ms: int = DAY_MS) -> None:
    """Bars of `length_ms` that end with the last one closed: each opens at the close before it and dips a thousandth first."""
    closes = list(closes)
    first = exchange.clock() // length_ms * length_ms - len(closes) * length_ms
    before, past = closes[0], list[Print]()
    for number, close in enumerate(closes):
        low = min(before, close) * Decimal("0.999")
        for part, price in enumerate((before, low, close)):
            at_ms = first + number * length_ms + (part + 1) * length_ms // 4
            past.append(Print(0, at_ms, price.quantize(exchange.markets[symbol].tick), Decimal(10), Side.BUY))
        before = close
    exchange.tape[symbol][:0] = past


def breakout(price: Decimal, bars: int = 300) -> list[Decimal]:
    """An up trend of small steps to and fro whose last bar breaks out to `price`: what a trend follower buys."""
    top = float(price) / 1.02
    climb = [top * (1 - 0.0015 * (bars - 1 - number)) * (1 + (0.004 if number % 2 else -0.004)) for number in range(bars - 1)]
    return [*(Decimal(f"{close:.8f}") for close in climb), price]
