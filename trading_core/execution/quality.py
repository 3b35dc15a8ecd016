"""How well an order was worked: what it cost against the price it was decided at, how much of it traded, and how fast.

Slippage is implementation shortfall per unit traded (A. Perold, "The Implementation Shortfall: Paper versus Reality", Journal of
Portfolio Management 14(3), 1988): a signed fraction of the reference price, positive for a loss, fees not included.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from trading_core.domain.money import ZERO
from trading_core.domain.orders import Fill, Order, Purpose, Side

SLIPPAGE_ALERT = Decimal("0.005")


@dataclass(frozen=True, slots=True)
class ExecutionQuality:
    """One order, measured.

    Attributes:
        reference_price: mid price when the order was decided; of a stop its stop price, for nobody meant to trade before it.
        average_price: quote per base of what was filled; None when nothing was.
        slippage: signed fraction of the reference price, positive for a loss; None when either price is missing.
        fill_ratio: filled part of what was ordered, 0 to 1.
        first_fill_after, last_fill_after: since the order was written down; None when nothing was filled.
        fees: paid, by currency.
    """

    order: Order
    reference_price: Decimal | None
    average_price: Decimal | None
    slippage: Decimal | None
    fill_ratio: Decimal
    first_fill_after: timedelta | None
    last_fill_after: timedelta | None
    fees: Mapping[str, Decimal]

    @property
    def is_alarming(self) -> bool:
        """Whether more was lost to slippage than `SLIPPAGE_ALERT`."""
        return self.slippage is not None and self.slippage > SLIPPAGE_ALERT


def measure(order: Order, fills: Sequence[Fill]) -> ExecutionQuality:
    """The quality of an order from its own fills, whatever else the record says of it."""
    reference = order.request.stop_price if order.purpose is Purpose.STOP else order.arrival_price
    filled = sum((fill.quantity for fill in fills), ZERO)
    average = sum((fill.notional for fill in fills), ZERO) / filled if filled else None
    fees: dict[str, Decimal] = {}
    for fill in fills:
        fees[fill.fee.asset] = fees.get(fill.fee.asset, ZERO) + fill.fee.amount
    waited = [fill.at - order.created_at for fill in fills]
    return ExecutionQuality(
        order=order,
        reference_price=reference,
        average_price=average,
        slippage=_slippage(order.side, average, reference),
        fill_ratio=filled / order.request.quantity,
        first_fill_after=min(waited, default=None),
        last_fill_after=max(waited, default=None),
        fees=fees,
    )


def _slippage(side: Side, average: Decimal | None, reference: Decimal | None) -> Decimal | None:
    if average is None or not reference:
        return None
    paid = (average - reference) / reference
    return paid if side is Side.BUY else -paid
