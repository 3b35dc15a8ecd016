"""An account: balances and positions, both folded from deposits, transfers and fills and from nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from trading_core.domain.errors import LedgerError, MarketDataUnavailable
from trading_core.domain.instruments import Instrument
from trading_core.domain.money import ZERO
from trading_core.domain.orders import Fill, Side
from trading_core.domain.positions import Position


@dataclass(frozen=True, slots=True)
class Transfer:
    """What came into an account or left it other than by trading: what it held when the desk took it over, deposits and
    withdrawals, rewards, a converted remainder.

    Attributes:
        amount: of the asset; below zero for what left.
        value: the same in quote, at the price of that moment; zero for an asset that the account does not trade.
        symbol: whose holding it adds to or takes from; None for quote, and for an asset that the account does not trade.
        fills_before: how many fills of the account were booked by then: between which two it is folded.
        by: name of the principal who had it booked.
    """

    asset: str
    amount: Decimal
    value: Decimal
    symbol: str | None
    at: datetime
    fills_before: int
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Portfolio:
    """What an account holds.

    Attributes:
        account_id: whose it is.
        currency: the quote currency equity is told in.
        deposited: quote put in at the start.
        transferred: value in quote of all transfers since, what left taken off.
        balances: every asset's total, open orders not taken off.
        positions: by symbol; a closed position stays for its realised profit.
        fees: paid so far, by currency.
    """

    account_id: str
    currency: str
    deposited: Decimal
    balances: Mapping[str, Decimal]
    positions: Mapping[str, Position] = field(default_factory=dict)
    fees: Mapping[str, Decimal] = field(default_factory=dict)
    transferred: Decimal = ZERO

    @classmethod
    def opened(cls, account_id: str, currency: str, deposit: Decimal) -> Portfolio:
        return cls(account_id, currency, deposit, {currency: deposit})

    @property
    def cash(self) -> Decimal:
        return self.balances.get(self.currency, ZERO)

    @property
    def paid_in(self) -> Decimal:
        """Quote that profit is counted from."""
        return self.deposited + self.transferred

    @property
    def realised(self) -> Decimal:
        return sum((position.realised for position in self.positions.values()), ZERO)

    def position(self, symbol: str) -> Position:
        return self.positions.get(symbol, Position(symbol))

    def held(self) -> dict[str, Position]:
        """Positions with anything in them, dust included, by symbol in alphabetical order."""
        return {symbol: self.positions[symbol] for symbol in sorted(self.positions) if self.positions[symbol].quantity > 0}

    def equity(self, prices: Mapping[str, Decimal]) -> Decimal:
        """Cash and every holding at `prices`.

        Raises:
            MarketDataUnavailable: when the price of a holding is missing. An unknown price is not zero.
        """
        total = self.cash
        for symbol, position in self.held().items():
            price = prices.get(symbol)
            if price is None:
                raise MarketDataUnavailable(f"no price for {symbol}, of which {position.quantity} are held: equity is unknown")
            total += position.value(price)
        return total

    def after(self, fill: Fill, instrument: Instrument) -> Portfolio:
        """The account after a fill.

        Raises:
            LedgerError: when a balance would go below zero.
        """
        balances = dict(self.balances)
        sign = 1 if fill.side is Side.BUY else -1
        _add(balances, instrument.base, sign * fill.quantity)
        _add(balances, instrument.quote, -sign * fill.notional)
        _add(balances, fill.fee.asset, -fill.fee.amount)
        for asset, amount in balances.items():
            if amount < 0 and amount < self.balances.get(asset, ZERO):
                raise LedgerError(f"fill {fill.trade_id!r} would leave {amount} {asset}", not_done="The fill was not booked")
        fees = dict(self.fees)
        _add(fees, fill.fee.asset, fill.fee.amount)
        positions = {**self.positions, fill.symbol: self.position(fill.symbol).after(fill, instrument)}
        return replace(self, balances=balances, positions=positions, fees=fees)

    def after_transfer(self, transfer: Transfer) -> Portfolio:
        """The account after a transfer.

        Raises:
            LedgerError: when a balance would go below zero.
        """
        balances, positions = dict(self.balances), self.positions
        _add(balances, transfer.asset, transfer.amount)
        if balances[transfer.asset] < 0:
            raise LedgerError(f"a transfer would leave {balances[transfer.asset]} {transfer.asset}", not_done="It was not booked")
        if transfer.symbol is not None:
            moved = self.position(transfer.symbol).after_transfer(transfer.amount, transfer.value)
            positions = {**self.positions, transfer.symbol: moved}
        return replace(self, balances=balances, positions=positions, transferred=self.transferred + transfer.value)

    def after_all(self, fills: Iterable[Fill], instruments: Mapping[str, Instrument]) -> Portfolio:
        """The account after many fills, in their order."""
        portfolio = self
        for fill in fills:
            portfolio = portfolio.after(fill, instruments[fill.symbol])
        return portfolio


def _add(amounts: dict[str, Decimal], asset: str, amount: Decimal) -> None:
    amounts[asset] = amounts.get(asset, ZERO) + amount
