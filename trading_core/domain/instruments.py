"""What trades, and the filters a venue puts on an order for it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from trading_core.domain.errors import InvalidInput
from trading_core.domain.money import ceil_to, floor_to, is_multiple, plain


class FeeCurrency(StrEnum):
    """In which currency a venue takes its fee."""

    QUOTE = "quote"  # Kraken, Coinbase: always the quote currency
    RECEIVED = "received"  # Binance, Bybit, OKX, Crypto.com spot: what the trade brings in


@dataclass(frozen=True, slots=True)
class Instrument:
    """A spot market of one venue, in ccxt's unified symbols (`BTC/USDT`).

    Prices are quote per base; quantities are base; notional is quote; fees are fractions of what they are taken from.
    """

    symbol: str
    tick_size: Decimal
    lot_size: Decimal
    min_quantity: Decimal
    min_notional: Decimal
    max_quantity: Decimal | None = None
    max_notional: Decimal | None = None
    maker_fee: Decimal = Decimal("0.001")
    taker_fee: Decimal = Decimal("0.001")
    fee_currency: FeeCurrency = FeeCurrency.RECEIVED

    def __post_init__(self) -> None:
        base, slash, quote = self.symbol.partition("/")
        if not (base and slash and quote):
            raise InvalidInput(f"symbol {self.symbol!r} is not of the form BASE/QUOTE")
        if self.tick_size <= 0 or self.lot_size <= 0:
            raise InvalidInput(f"{self.symbol}: tick size {self.tick_size} and lot size {self.lot_size} must be above zero")

    @property
    def base(self) -> str:
        return self.symbol.partition("/")[0]

    @property
    def quote(self) -> str:
        return self.symbol.partition("/")[2]

    def floor_quantity(self, quantity: Decimal) -> Decimal:
        """The largest tradable quantity not above `quantity`."""
        return floor_to(quantity, self.lot_size)

    def floor_price(self, price: Decimal) -> Decimal:
        return floor_to(price, self.tick_size)

    def ceil_price(self, price: Decimal) -> Decimal:
        return ceil_to(price, self.tick_size)

    def is_dust(self, quantity: Decimal, price: Decimal) -> bool:
        """Whether a holding is too small to be sold by itself."""
        lots = self.floor_quantity(quantity)
        return lots < self.min_quantity or lots <= 0 or lots * price < self.min_notional

    def violations(self, quantity: Decimal, price: Decimal | None, reference: Decimal) -> list[str]:
        """Every filter an order would break.

        Args:
            quantity: base quantity of the order.
            price: limit or stop price; None for a market order.
            reference: price to value a market order at.

        Returns:
            One sentence for each broken filter; empty when the venue would take the order.
        """
        found: list[str] = []
        if quantity <= 0:
            found.append(f"quantity {plain(quantity)} is not above zero")
        if not is_multiple(quantity, self.lot_size):
            found.append(f"quantity {plain(quantity)} is no multiple of the lot size {plain(self.lot_size)}")
        if quantity < self.min_quantity:
            found.append(f"quantity {plain(quantity)} is below the minimum {plain(self.min_quantity)}")
        if self.max_quantity is not None and quantity > self.max_quantity:
            found.append(f"quantity {plain(quantity)} is above the maximum {plain(self.max_quantity)}")
        if price is not None and price <= 0:
            found.append(f"price {plain(price)} is not above zero")
        elif price is not None and not is_multiple(price, self.tick_size):
            found.append(f"price {plain(price)} is no multiple of the tick size {plain(self.tick_size)}")
        notional = quantity * (price if price is not None else reference)
        if notional < self.min_notional:
            found.append(f"notional {plain(notional)} is below the minimum {plain(self.min_notional)}")
        if self.max_notional is not None and notional > self.max_notional:
            found.append(f"notional {plain(notional)} is above the maximum {plain(self.max_notional)}")
        return found
