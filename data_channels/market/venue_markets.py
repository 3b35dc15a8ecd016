"""From a ccxt market description to an `Instrument`."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from trading_core.domain.errors import InvalidInput, MarketDataUnavailable
from trading_core.domain.instruments import FeeCurrency, Instrument
from trading_core.domain.money import ZERO, decimal

_DECIMAL_PLACES = 2  # ccxt's precision modes: https://docs.ccxt.com/#/README?id=precision-mode
_SIGNIFICANT_DIGITS = 3
_DEFAULT_FEE = Decimal("0.001")  # 0.1 %, Binance's and Bybit's first tier, where ccxt names no fee
_QUOTE_FEE_VENUES = frozenset({"kraken", "coinbase", "coinbaseadvanced", "coinbaseexchange"})


def instrument_of(venue: str, market: Mapping[str, object], precision_mode: int) -> Instrument:
    """The filters of a market as ccxt describes it.

    Fees are those of the venue's first tier as ccxt knows them. A minimum that the venue does not name is one lot, or no
    minimum notional.

    Args:
        venue: ccxt id.
        market: one entry of `exchange.markets`.
        precision_mode: `exchange.precisionMode`; venues that count significant digits have no one tick size.

    Raises:
        MarketDataUnavailable: the description lacks the tick or lot size, or cannot be read.
    """
    symbol = str(market["symbol"])
    precision, limits = _part(market, "precision"), _part(market, "limits")
    amount, cost = _part(limits, "amount"), _part(limits, "cost")
    try:
        tick, lot = _step(precision.get("price"), precision_mode), _step(precision.get("amount"), precision_mode)
        if tick is not None and lot is not None:
            return Instrument(
                symbol=symbol,
                tick_size=tick,
                lot_size=lot,
                min_quantity=exact(amount.get("min")) or lot,
                min_notional=exact(cost.get("min")) or ZERO,
                max_quantity=exact(amount.get("max")) or None,  # some venues write "no maximum" as zero
                max_notional=exact(cost.get("max")) or None,
                maker_fee=_fee(market.get("maker")),
                taker_fee=_fee(market.get("taker")),
                fee_currency=_fee_currency(venue, market),
            )
    except InvalidInput as error:
        raise MarketDataUnavailable(f"{venue} describes {symbol} in a way that cannot be read: {error.what}") from error
    raise MarketDataUnavailable(
        f"{venue} does not tell the tick and lot size of {symbol}",
        not_done="The market was not opened",
        next_step="Choose another venue or symbol",
    )


def exact(value: object) -> Decimal | None:
    """A number of ccxt's, exact by its shortest text; None stays None.

    Raises:
        InvalidInput: for anything that is no finite number.
    """
    return None if value is None else decimal(str(value), name="number")


def _step(value: object, precision_mode: int) -> Decimal | None:
    number = exact(value)
    if number is None or precision_mode == _SIGNIFICANT_DIGITS:
        return None
    return Decimal(10) ** -int(number) if precision_mode == _DECIMAL_PLACES else number


def _fee(value: object) -> Decimal:
    fee = exact(value)
    return _DEFAULT_FEE if fee is None else fee


def _fee_currency(venue: str, market: Mapping[str, object]) -> FeeCurrency:
    """ccxt's own word where it has one (`feeSide`), else what is known of the venue."""
    side = market.get("feeSide")
    if side in ("quote", "get"):
        return FeeCurrency.QUOTE if side == "quote" else FeeCurrency.RECEIVED
    return FeeCurrency.QUOTE if venue in _QUOTE_FEE_VENUES else FeeCurrency.RECEIVED


def _part(description: Mapping[str, object], name: str) -> Mapping[str, object]:
    part = description.get(name)
    return part if isinstance(part, Mapping) else {}
