"""Symbols as ccxt writes them, and the assets that services know them by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

DOLLARS = frozenset({"USD", "USDT", "USDC", "FDUSD", "TUSD", "USDP", "DAI"})
"""Quote currencies that are a dollar each, to within what a service's price in dollars is good for."""


def base_of(symbol: str) -> str:
    """The asset that a symbol trades: `BTC` of `BTC/USDT` and of `BTC/USDT:USDT`."""
    return symbol.partition("/")[0].upper()


def quote_of(symbol: str) -> str:
    """What it is paid with: `USDT` of `BTC/USDT`; empty where the symbol names none."""
    return symbol.partition("/")[2].partition(":")[0].upper()


def known_by(symbols: Iterable[str], ids: Mapping[str, str]) -> dict[str, str]:
    """The service's own id of each symbol that it knows, by symbol.

    Args:
        ids: the service's ids by base asset.
    """
    return {symbol: ids[base_of(symbol)] for symbol in dict.fromkeys(symbols) if base_of(symbol) in ids}
