"""What closed trades won and lost, folded from every fill of an account: the same fold that made its positions."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from trading_core.domain.instruments import Instrument
from trading_core.domain.money import ONE, ZERO
from trading_core.domain.orders import Fill, Side
from trading_core.domain.portfolio import Transfer
from trading_core.domain.positions import Position
from trading_core.persistence.session import Database

_ROWS = 2_000  # read at once: other requests get their turn in between


@dataclass(frozen=True, slots=True)
class Trades:
    """Closed trades and what was traded. A trade is closed by a sale order: its profit is what its fills brought over the average
    cost of what they sold, quote, fees in base or quote off.

    Attributes:
        won, lost: how many closed with a profit, and with a loss; those that broke even are neither.
        gained, given: their profits, and their losses as a positive number.
        best, worst: of single trades; None before the first.
        bought, sold: quote, over all fills.
    """

    closed: int = 0
    won: int = 0
    lost: int = 0
    gained: Decimal = ZERO
    given: Decimal = ZERO
    best: Decimal | None = None
    worst: Decimal | None = None
    bought: Decimal = ZERO
    sold: Decimal = ZERO
    fills: int = 0

    @property
    def profit(self) -> Decimal:
        """Realised by sales; transfers out of a holding realise too, and are no trades."""
        return self.gained - self.given

    @property
    def win_rate(self) -> Decimal | None:
        """Share of closed trades that won; None before the first."""
        return Decimal(self.won) / self.closed if self.closed else None


async def trades_of(database: Database, account_id: str) -> Trades:
    """The account's closed trades.

    Raises:
        LedgerError: the fills on record do not fold into positions.
    """
    async with database.reading() as uow:
        transfers = list(await uow.transfers.of_account(account_id))
    fold, after = _Fold(transfers), 0
    while True:
        async with database.reading() as uow:
            rows = await uow.pages.fills_after(account_id, after, _ROWS)
        for sequence, fill in rows:
            fold.take(fill)
            after = sequence
        if len(rows) < _ROWS:
            return fold.trades()


class _Fold:
    def __init__(self, transfers: list[Transfer]) -> None:
        self._transfers, self._booked = transfers, 0
        self._positions: dict[str, Position] = {}
        self._profits: dict[str, Decimal] = {}
        self._traded = {Side.BUY: ZERO, Side.SELL: ZERO}

    def take(self, fill: Fill) -> None:
        """The next fill, after what was transferred before it."""
        while self._transfers and self._transfers[0].fills_before <= self._booked:
            moved = self._transfers.pop(0)
            if moved.symbol is not None:
                self._positions[moved.symbol] = self._position(moved.symbol).after_transfer(moved.amount, moved.value)
        before = self._position(fill.symbol)
        # A position asks a market for its two currencies only.
        after = before.after(fill, Instrument(fill.symbol, ONE, ONE, ZERO, ZERO))
        self._positions[fill.symbol] = after
        self._booked += 1
        self._traded[fill.side] += fill.notional
        if fill.side is Side.SELL:
            key = fill.client_order_id
            self._profits[key] = self._profits.get(key, ZERO) + after.realised - before.realised

    def trades(self) -> Trades:
        profits = list(self._profits.values())
        won, lost = [one for one in profits if one > 0], [one for one in profits if one < 0]
        return Trades(
            closed=len(profits),
            won=len(won),
            lost=len(lost),
            gained=sum(won, ZERO),
            given=-sum(lost, ZERO),
            best=max(profits, default=None),
            worst=min(profits, default=None),
            bought=self._traded[Side.BUY],
            sold=self._traded[Side.SELL],
            fills=self._booked,
        )

    def _position(self, symbol: str) -> Position:
        return self._positions.get(symbol, Position(symbol))
