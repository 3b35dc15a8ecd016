"""The filters of a venue's markets, as far as public data tells them."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from trading_core.ccxt_client import markets
from trading_core.domain.errors import InvalidInput, MarketDataUnavailable
from trading_core.domain.instruments import FeeCurrency, Instrument
from trading_core.domain.money import decimal

_QUOTE_FEE_VENUES = frozenset({"kraken", "coinbase", "coinbaseadvanced", "coinbaseexchange"})


def instrument_of(venue: str, market: Mapping[str, object], precision_mode: int) -> Instrument:
    """The filters of a market as ccxt describes it.

    Args:
        venue: ccxt id.
        market: one entry of `exchange.markets`.
        precision_mode: `exchange.precisionMode`.

    Raises:
        MarketDataUnavailable: the description lacks the tick or lot size, or cannot be read.
    """
    in_quote = venue in _QUOTE_FEE_VENUES
    fee_currency = FeeCurrency.QUOTE if in_quote else FeeCurrency.RECEIVED
    try:
        return markets.instrument_of(market, precision_mode, fee_currency=fee_currency, read=exact)
    except InvalidInput as error:
        raise MarketDataUnavailable(
            f"{venue} describes {market['symbol']} in a way that cannot be used: {error.what}",
            not_done="The market was not opened",
            next_step="Choose another venue or symbol",
        ) from error


def exact(value: object) -> Decimal | None:
    """A number of ccxt's, exact by its shortest text; None stays None.

    Raises:
        InvalidInput: for anything that is no finite number.
    """
    return None if value is None else decimal(str(value), name="number")
