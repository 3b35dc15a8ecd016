"""What the name of a file of bars says: symbol and timeframe."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from trading_core.domain.errors import InvalidInput
from trading_core.domain.market import Timeframe

SUFFIXES = (".csv", ".csv.gz", ".parquet")
QUOTES = ("USDT", "USDC", "USD", "EUR", "BTC", "ETH")  # longest first where one ends another
_ASSET = re.compile(r"[A-Z0-9]+")


@dataclass(frozen=True, slots=True)
class NamedFile:
    """A file of bars and what its name says it holds."""

    path: Path
    symbol: str
    timeframe: Timeframe


def parse_name(path: Path) -> NamedFile | None:
    """Read `binance_BTCUSDT_1h.csv.gz`, `BTC-USDT_1h.csv`, `BTC_USDT-1h.parquet`; None when the name says nothing of the kind.

    The parts are set apart by `_` or `-`: an optional venue, the pair in one word or two, the timeframe. A pair in one word
    must end in one of `QUOTES`; after a venue, a pair in two words may have any quote.
    """
    suffix = next((ending for ending in sorted(SUFFIXES, key=len, reverse=True) if path.name.endswith(ending)), None)
    if suffix is None:
        return None
    *pair, code = re.split("[_-]", path.name.removesuffix(suffix))
    try:
        timeframe = Timeframe(code)
    except InvalidInput:
        return None
    symbol = _symbol([part.upper() for part in pair])
    return NamedFile(path, symbol, timeframe) if symbol else None


def _symbol(parts: list[str]) -> str | None:
    if not all(_ASSET.fullmatch(part) for part in parts):
        return None
    match parts:
        case [base, quote] if quote in QUOTES:
            return f"{base}/{quote}"
        case [_, base, quote]:
            return f"{base}/{quote}"
        case [pair] | [_, pair]:
            quote = next((quote for quote in QUOTES if pair.endswith(quote) and pair != quote), "")
            return f"{pair.removesuffix(quote)}/{quote}" if quote else None
    return None
