"""A holding and what it cost, folded from fills by the average cost method."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from trading_core.domain.errors import LedgerError
from trading_core.domain.instruments import Instrument
from trading_core.domain.money import ZERO
from trading_core.domain.orders import Fill, Side


@dataclass(frozen=True, slots=True)
class Position:
    """A spot holding. It is never negative.

    Attributes:
        quantity: base quantity held, fees taken in base already off.
        cost: quote spent on what is still held, quote fees included. Exact: what a sale takes out of it is subtracted.
        realised: profit of what was sold, quote, fees in base or quote already off.
    """

    symbol: str
    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    realised: Decimal = ZERO

    @property
    def average_cost(self) -> Decimal | None:
        return self.cost / self.quantity if self.quantity else None

    def value(self, price: Decimal) -> Decimal:
        return self.quantity * price

    def unrealised(self, price: Decimal) -> Decimal:
        return self.quantity * price - self.cost

    def after_transfer(self, quantity: Decimal, value: Decimal) -> Position:
        """The position after base was moved in, as if bought for `value`, or out (both below zero), as if sold for it: so profit
        goes on being what the account is worth less what was paid in.

        Raises:
            LedgerError: when more leaves than is held.
        """
        after = self.quantity + quantity
        if after < 0:
            raise LedgerError(
                f"{-quantity} of {self.symbol} leave and only {self.quantity} are held", not_done="It was not booked"
            )
        if quantity >= 0:
            return replace(self, quantity=after, cost=self.cost + value)
        left = self.cost * after / self.quantity
        return replace(self, quantity=after, cost=left, realised=self.realised - value - (self.cost - left))

    def after(self, fill: Fill, instrument: Instrument) -> Position:
        """The position after a fill.

        Raises:
            LedgerError: for a sale of more than is held.
        """
        fee_base = fill.fee.amount if fill.fee.asset == instrument.base else ZERO
        fee_quote = fill.fee.amount if fill.fee.asset == instrument.quote else ZERO
        if fill.side is Side.BUY:
            return replace(self, quantity=self.quantity + fill.quantity - fee_base, cost=self.cost + fill.notional + fee_quote)
        gone = fill.quantity + fee_base
        if gone > self.quantity:
            raise LedgerError(
                f"fill {fill.trade_id!r} sells {gone} {instrument.base} and only {self.quantity} are held",
                not_done="The fill was not booked",
                next_step="Compare the account with the venue",
            )
        # The last sale takes the whole remaining cost with it, so that cost + realised never drift by a rounding.
        out = self.cost if gone == self.quantity else self.cost * gone / self.quantity
        return replace(
            self,
            quantity=self.quantity - gone,
            cost=self.cost - out,
            realised=self.realised + fill.notional - fee_quote - out,
        )
