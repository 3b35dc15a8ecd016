"""Order filters for prices that come without any: an assumption, stated in one place.

Files of bars and generated prices do not carry a venue's tick size, lot size or fees. They are inferred from the first bar
alone. A later bar must not decide them: the filters hold from the first instant, and would tell it about the future.
"""

from __future__ import annotations

from decimal import Decimal

from trading_core.domain.instruments import FeeCurrency, Instrument
from trading_core.domain.market import Bar
from trading_core.domain.money import ONE

_SMALL_CHANGE = {"BTC": Decimal("0.00001"), "ETH": Decimal("0.001")}  # about a US dollar, in quotes that are no money
_FEE = Decimal("0.001")  # Binance spot, without discounts
_MIN_NOTIONAL_UNITS = 5  # Binance spot: 5 USDT
_MIN_DECIMALS = 2


def price_decimals(bar: Bar) -> int:
    """The most decimals any price of the bar needs, at least two. Trailing zeros do not count."""
    return max(_MIN_DECIMALS, *(_decimals(price) for price in (bar.open, bar.high, bar.low, bar.close)))


def inferred_instrument(symbol: str, *, price: Decimal, decimals: int) -> Instrument:
    """The market `symbol` with assumed filters.

    Tick size is the last of `decimals`; the lot is the largest power of ten worth at most one unit of quote currency, which is
    also the minimum quantity; the minimum notional is five units; fees are 0.1 % of what the trade brings in, maker and
    taker. A unit is 1 of a currency and about a dollar's worth of BTC or ETH.

    Args:
        price: quote per base to size the lot at, above zero.
        decimals: digits after the point of a price.

    Raises:
        InvalidInput: for a symbol that is not of the form BASE/QUOTE.
    """
    unit = _SMALL_CHANGE.get(symbol.partition("/")[2], ONE)
    lot = Decimal(10) ** (unit / price).adjusted()
    return Instrument(
        symbol=symbol,
        tick_size=Decimal(10) ** -decimals,
        lot_size=lot,
        min_quantity=lot,
        min_notional=_MIN_NOTIONAL_UNITS * unit,
        maker_fee=_FEE,
        taker_fee=_FEE,
        fee_currency=FeeCurrency.RECEIVED,
    )


def _decimals(price: Decimal) -> int:
    exponent = price.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
