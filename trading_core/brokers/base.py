"""The broker port: what every venue can do, in the desk's words.

Writes end in one of three ways. They return (accepted), raise `OrderRefused` (the venue said no: final), or raise
`AmbiguousOutcome` (anything else: the order may be live and must not be resent). Reads return what the venue said or raise
`BrokerUnavailable`; a read that failed is never an empty answer.

A stream tells what happens as it happens. It may tell a thing twice, late or out of order, and it may stop telling: what it
does not tell is read.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from trading_core.domain.instruments import Instrument
from trading_core.domain.orders import Fill, OrderRequest, OrderState


@dataclass(frozen=True, slots=True)
class Balance:
    """One asset at the venue: what can be spent, and what open orders hold."""

    asset: str
    free: Decimal
    locked: Decimal

    @property
    def total(self) -> Decimal:
        return self.free + self.locked


@dataclass(frozen=True, slots=True)
class OrderReport:
    """The venue's view of an order."""

    client_order_id: str
    venue_order_id: str
    symbol: str
    state: OrderState
    filled: Decimal
    updated_at: datetime
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Missed:
    """Something may have happened that the stream did not tell: read the venue.

    `why` is empty when a stream has just opened, or told of something in part; else it says what broke.
    """

    why: str = ""


Update = Fill | OrderReport | Missed
"""What a stream tells. A fill is equal to the one `fills` tells of the same trade."""


class Broker(Protocol):
    """One account at one venue."""

    venue: str
    is_paper: bool

    async def instruments(self) -> Mapping[str, Instrument]:
        """Every market that can be traded here, with its filters."""
        ...

    async def balances(self) -> Mapping[str, Balance]:
        """Every asset with a balance."""
        ...

    async def place(self, request: OrderRequest) -> OrderReport:
        """Send an order.

        Raises:
            OrderRefused: the venue said no.
            AmbiguousOutcome: the answer was lost or cannot be read.
        """
        ...

    async def cancel(self, client_order_id: str, symbol: str) -> OrderReport:
        """Ask for a cancel and return what the order then is; an order already final is returned as it is.

        Raises:
            OrderRefused: the venue does not know the order.
            AmbiguousOutcome: the answer was lost.
        """
        ...

    async def order(self, client_order_id: str, symbol: str) -> OrderReport | None:
        """The order under this id; None only when the venue itself says that it has no such order."""
        ...

    async def open_orders(self) -> Sequence[OrderReport]:
        """Every live order of the account, whoever placed it."""
        ...

    async def fills(self, *, since: datetime) -> Sequence[Fill]:
        """Every execution at or after `since`, oldest first."""
        ...

    def updates(self) -> AsyncIterator[Update]:
        """What happens to the account from now on, until the iteration is cancelled.

        `Missed` comes first, and again when a stream has broken and when it is open anew.

        Raises:
            BrokerUnavailable: this venue does not stream to this account. Asking again is of no use; reading still is.
        """
        ...

    async def close(self) -> None: ...
