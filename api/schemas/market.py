"""Prices, bars, indicators and instruments of an account's market."""

from __future__ import annotations

from pydantic import Field

from api.schemas.common import Amount, Answer, Instant
from api.schemas.fields import shown_as
from trading_core.domain.instruments import FeeCurrency

_BAR: dict[str, object] = {
    "opened_at": "2026-03-02T11:00:00Z",
    "open": "61010.2",
    "high": "61322.9",
    "low": "60987.1",
    "close": "61200.5",
    "volume": "12.75",
}


class TickerOut(Answer):
    """The last known prices of a market."""

    model_config = shown_as(
        {
            "symbol": "BTC/USDT",
            "bid": "61200.4",
            "ask": "61200.6",
            "last": "61200.5",
            "mid": "61200.5",
            "at": "2026-03-02T12:00:05Z",
            "generated": True,
        }
    )

    symbol: str
    bid: Amount
    ask: Amount
    last: Amount
    mid: Amount
    at: Instant = Field(description="When they were true, not when they were asked for.")
    generated: bool = Field(description="Whether the prices are invented.")


class BarOut(Answer):
    """One closed bar."""

    model_config = shown_as(_BAR)

    opened_at: Instant
    open: Amount
    high: Amount
    low: Amount
    close: Amount
    volume: Amount = Field(description="Base.")


class BarsOut(Answer):
    """Closed bars as they were known at an instant."""

    model_config = shown_as(
        {
            "symbol": "BTC/USDT",
            "timeframe": "1h",
            "as_of": "2026-03-02T12:00:05Z",
            "generated": True,
            "bars": [_BAR],
        }
    )

    symbol: str
    timeframe: str
    as_of: Instant
    generated: bool
    bars: list[BarOut] = Field(description="Oldest first; gaps stay gaps.")


class IndicatorsOut(Answer):
    """Indicators at the last closed bar: numbers for people and models, not exact amounts; null while one still warms up.

    Names that end in `percent` or `percentile`, and volatility, are in percent; prices are quote per base.
    """

    model_config = shown_as(
        {
            "symbol": "BTC/USDT",
            "timeframe": "1h",
            "as_of": "2026-03-02T12:00:05Z",
            "last_bar_opened_at": "2026-03-02T11:00:00Z",
            "generated": True,
            "bars": 300,
            "values": {"last_close": 61200.5, "ema_20": 60950.1, "rsi_14": 58.2, "atr_14": 310.4, "adx_14": None},
        }
    )

    symbol: str
    timeframe: str
    as_of: Instant
    last_bar_opened_at: Instant | None
    generated: bool
    bars: int = Field(description="That they were worked out from.")
    values: dict[str, float | None] = Field(description="By name; empty without enough bars.")


class InstrumentOut(Answer):
    """A market and the filters that its venue puts on orders."""

    model_config = shown_as(
        {
            "symbol": "BTC/USDT",
            "base": "BTC",
            "quote": "USDT",
            "tick_size": "0.01",
            "lot_size": "0.00001",
            "min_quantity": "0.00001",
            "min_notional": "5",
            "max_quantity": None,
            "max_notional": None,
            "maker_fee": "0.001",
            "taker_fee": "0.001",
            "fee_currency": "received",
            "traded": True,
        }
    )

    symbol: str
    base: str
    quote: str
    tick_size: Amount = Field(description="Prices are multiples of it.")
    lot_size: Amount = Field(description="Quantities are multiples of it.")
    min_quantity: Amount
    min_notional: Amount
    max_quantity: Amount | None
    max_notional: Amount | None
    maker_fee: Amount = Field(description="Fraction.")
    taker_fee: Amount = Field(description="Fraction.")
    fee_currency: FeeCurrency
    traded: bool = Field(description="Whether the account's session looks at it.")
