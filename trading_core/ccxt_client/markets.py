"""From a ccxt market description to an `Instrument`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal

from trading_core.domain.errors import InvalidInput
from trading_core.domain.instruments import FeeCurrency, Instrument
from trading_core.domain.money import ZERO

_DECIMAL_PLACES = 2  # ccxt's precision modes: https://docs.ccxt.com/#/README?id=precision-mode
_SIGNIFICANT_DIGITS = 3
_DEFAULT_FEE = Decimal("0.001")  # 0.1 %, Binance's and Bybit's first tier, where ccxt names no fee
_FEE_SIDES = {"quote": FeeCurrency.QUOTE, "get": FeeCurrency.RECEIVED}

Read = Callable[[object], Decimal | None]


def instrument_of(market: Mapping[str, object], precision_mode: int, *, fee_currency: FeeCurrency, read: Read) -> Instrument:
    """The filters of a market. A minimum the venue does not name is one lot, or no minimum notional.

    Args:
        market: one entry of `exchange.markets`.
        precision_mode: `exchange.precisionMode`; venues that count significant digits have no one tick size.
        fee_currency: in which fees are taken, where ccxt has no word for it (`feeSide`).
        read: a number of ccxt's; None for none.

    Raises:
        InvalidInput: it lacks the tick or lot size, or a number in it cannot be read.
    """
    symbol = str(market["symbol"])
    precision, limits = _part(market, "precision"), _part(market, "limits")
    amount, cost = _part(limits, "amount"), _part(limits, "cost")
    tick, lot = (_step(read(precision.get(name)), precision_mode) for name in ("price", "amount"))
    if tick is None or lot is None:
        raise InvalidInput(f"the tick and lot size of {symbol} are not told")
    maker, taker = read(market.get("maker")), read(market.get("taker"))
    return Instrument(
        symbol=symbol,
        tick_size=tick,
        lot_size=lot,
        min_quantity=read(amount.get("min")) or lot,
        min_notional=read(cost.get("min")) or ZERO,
        max_quantity=read(amount.get("max")) or None,  # some venues write "no maximum" as zero
        max_notional=read(cost.get("max")) or None,
        maker_fee=_DEFAULT_FEE if maker is None else maker,
        taker_fee=_DEFAULT_FEE if taker is None else taker,
        fee_currency=_FEE_SIDES.get(str(market.get("feeSide")), fee_currency),
    )


def _step(number: Decimal | None, precision_mode: int) -> Decimal | None:
    if number is None or precision_mode == _SIGNIFICANT_DIGITS:
        return None
    return Decimal(10) ** -int(number) if precision_mode == _DECIMAL_PLACES else number


def _part(description: Mapping[str, object], name: str) -> Mapping[str, object]:
    part = description.get(name)
    return part if isinstance(part, Mapping) else {}
