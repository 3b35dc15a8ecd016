"""What a recorded run knew, rebuilt from the ledger: its snapshot, its evidence, and what the gate was told.

The ledger is only read. What it does not hold as of then is folded again from what it does: losses from fills, the day's first
equity from the day's first snapshot, orders from when they were written. Nothing that came after the run is looked at.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from pydantic import TypeAdapter

from graph.config import SessionConfig
from graph.snapshot import WINDOW
from tools.computed import Computed
from trading_core.domain.clock import iso
from trading_core.domain.errors import AlgoTrendyError, RunError
from trading_core.domain.instruments import Instrument
from trading_core.domain.market import Bar, ChannelReport, MarketFeed, Ticker
from trading_core.domain.money import ONE, ZERO
from trading_core.domain.orders import Fill, Order, Side
from trading_core.domain.portfolio import Portfolio, Transfer
from trading_core.domain.snapshot import Snapshot
from trading_core.persistence.records import RiskStateChange, RunRecord, RunTrail
from trading_core.persistence.session import Database
from trading_core.risk.checks import RecentOrder
from trading_core.risk.state import AccountRisk, TradingState

_BEGINNING = datetime(2009, 1, 3, tzinfo=UTC)  # nothing was traded before the first block
_LOOKS_BACK = timedelta(days=2)  # of recent orders: longer than any window of the gate's


@dataclass(frozen=True, slots=True)
class _Kept:
    """A snapshot as the ledger keeps it (`graph.snapshot`)."""

    as_of: datetime
    symbols: tuple[str, ...]
    tickers: Mapping[str, Ticker]
    bars: Mapping[str, str]
    channels: Mapping[str, ChannelReport]
    portfolio: Portfolio
    open_orders: tuple[Order, ...]
    state: str
    drawdown: Decimal
    limits: Mapping[str, str]
    doubts: Mapping[str, str] = field(default_factory=dict)


_KEPT = TypeAdapter(_Kept)


@dataclass(frozen=True, slots=True)
class Recorded:
    """One run as it was when it decided.

    Attributes:
        snapshot: without the bars of a symbol when they are not at hand any more; see `bars_at_hand`.
        bars_at_hand: whether the market still tells the very bars that the run saw.
        now: when the gate decided.
        risk: what the loss limits remembered then.
        recent: orders that were written shortly before.
        correlations: of returns, by pair.
    """

    trail: RunTrail
    snapshot: Snapshot
    bars_at_hand: bool
    now: datetime
    risk: AccountRisk
    recent: tuple[RecentOrder, ...]
    correlations: Mapping[frozenset[str], Decimal]


class History:
    """One session's record. Use `read`."""

    def __init__(
        self,
        ledger: Database,
        config: SessionConfig,
        feed: MarketFeed,
        *,
        instruments: Mapping[str, Instrument],
        runs: Sequence[RunRecord],
        orders: Sequence[tuple[Order, str]],
        fills: Sequence[Fill],
        transfers: Sequence[Transfer],
        changes: Sequence[RiskStateChange],
        portfolio: Portfolio,
    ) -> None:
        self.config, self.runs, self._ledger, self._feed = config, runs, ledger, feed
        self._instruments, self._orders, self._changes = instruments, orders, changes
        self._losses = _losses(portfolio, fills, transfers, {order.client_order_id: order for order, _ in orders}, instruments)

    @classmethod
    async def read(cls, ledger: Database, session_id: str, config: SessionConfig, feed: MarketFeed) -> History:
        """A session's runs, and all that its account did.

        Raises:
            RunError: it has no runs.
            MarketDataError: the market does not say what it lists.
        """
        async with ledger.reading() as uow:
            runs = await uow.runs.of_session(session_id)
            if not runs:
                raise RunError(f"session {session_id!r} has no runs on record", not_done="Nothing was replayed")
            account = runs[0].account_id
            return cls(
                ledger,
                config,
                feed,
                instruments=await feed.instruments(),
                runs=runs,
                orders=await uow.orders.recent_with_proposer(account, _BEGINNING),
                fills=await uow.fills.of_account(account),
                transfers=await uow.transfers.of_account(account),
                changes=await uow.risk.changes(account),
                portfolio=await uow.portfolios.load(account),
            )

    async def recorded(self, run_id: str) -> Recorded:
        """A run as it was.

        Raises:
            RunError: there is no such run, or it ended before it knew anything.
        """
        async with self._ledger.reading() as uow:
            trail = await uow.runs.whole(run_id)
        if trail.snapshot is None:
            raise RunError(f"run {run_id!r} has no snapshot on record", not_done="It was not replayed")
        kept = _KEPT.validate_python(trail.snapshot.content)
        as_of = trail.run.as_of
        bars = await self._bars(kept, as_of)
        snapshot = Snapshot(
            as_of=as_of,
            timeframe=self.config.bars,
            symbols=kept.symbols,
            instruments=self._instruments,
            tickers=kept.tickers,
            bars=bars or {},
            channels=kept.channels,
            portfolio=kept.portfolio,
            open_orders=kept.open_orders,
            state=kept.state,
            drawdown=kept.drawdown,
            limits=kept.limits,
            doubts=kept.doubts,
            content_hash=trail.snapshot.hash,
        )
        now = max(as_of, trail.run.started_at, *(ticker.at for ticker in kept.tickers.values()))
        return Recorded(
            trail=trail,
            snapshot=snapshot,
            bars_at_hand=bars is not None,
            now=now,
            risk=await self._risk(snapshot, trail.run, now),
            recent=tuple(
                RecentOrder(order.created_at, proposer, order.symbol, order.side, order.request.quantity, order.intent_id)
                for order, proposer in self._orders
                if now - _LOOKS_BACK < order.created_at <= now and order.run_id != run_id
            ),
            correlations=_correlations(trail, snapshot),
        )

    async def price_after(self, symbol: str, at: datetime, bars: int) -> Decimal | None:
        """The close so many bars later; None when it is not known. Where the market does not tell, a later snapshot does."""
        length = self.config.bars.length
        end = at + bars * length
        try:
            found = await self._feed.bars(symbol, self.config.bars, as_of=end, limit=1)
        except AlgoTrendyError:
            found = ()
        if found and found[-1].opened_at + 2 * length > end:
            return found[-1].close
        later = next((run for run in self.runs if run.snapshot_hash and end <= run.as_of < end + length), None)
        if later is None:
            return None
        kept = await self._kept(later)
        ticker = kept.tickers.get(symbol) if kept else None
        return ticker.last if ticker else None

    async def _bars(self, kept: _Kept, as_of: datetime) -> dict[str, tuple[Bar, ...]] | None:
        """The bars that the run saw; None unless all are the same to the last digit."""
        found: dict[str, tuple[Bar, ...]] = {}
        for symbol, told in kept.bars.items():
            try:
                rows = tuple(await self._feed.bars(symbol, self.config.bars, as_of=as_of, limit=WINDOW))
            except AlgoTrendyError:
                return None
            if _digest(rows) != told:
                return None
            found[symbol] = rows
        return found

    async def _kept(self, run: RunRecord) -> _Kept | None:
        async with self._ledger.reading() as uow:
            snapshot = await uow.snapshots.get(run.snapshot_hash or "")
        return None if snapshot is None else _KEPT.validate_python(snapshot.content)

    async def _risk(self, snapshot: Snapshot, run: RunRecord, now: datetime) -> AccountRisk:
        """What the loss limits remembered: the state and the peak are in the snapshot, the rest is folded again."""
        equity = snapshot.portfolio.equity(snapshot.prices)
        changes = [one for one in self._changes if one.at <= now]
        resumed = max((one.at for one in changes if one.to_state == TradingState.ACTIVE), default=_BEGINNING)
        losses, last = 0, None
        for at, profit in self._losses:
            if resumed < at <= now:
                losses = losses + 1 if profit < 0 else 0 if profit > 0 else losses
                last = at if profit < 0 else last
        change = changes[-1] if changes else None
        return AccountRisk(
            trading_state=TradingState(snapshot.state),
            reason=change.reason if change else "",
            changed_by=change.actor if change else "core",
            changed_at=change.at if change else now,
            peak_equity=equity / (ONE - snapshot.drawdown) if snapshot.drawdown < ONE else equity,
            day=now.date(),
            day_start_equity=await self._day_start(run, resumed, equity),
            consecutive_losses=losses,
            last_loss_at=last,
        )

    async def _day_start(self, run: RunRecord, since: datetime, equity: Decimal) -> Decimal:
        """Equity at the day's first run, or at the first after an operator resumed."""
        same = (one for one in self.runs if one.as_of.date() == run.as_of.date() and since <= one.as_of <= run.as_of)
        first = next((one for one in same if one.snapshot_hash), None)
        kept = await self._kept(first) if first is not None and first.id != run.id else None
        if kept is None:
            return equity
        return kept.portfolio.equity({symbol: ticker.last for symbol, ticker in kept.tickers.items()})


def _losses(
    portfolio: Portfolio,
    fills: Sequence[Fill],
    transfers: Sequence[Transfer],
    orders: Mapping[str, Order],
    instruments: Mapping[str, Instrument],
) -> list[tuple[datetime, Decimal]]:
    """When each sale was done, and what it brought, as `trading_core.execution.booking` tells it to the loss limits."""
    account = Portfolio.opened(portfolio.account_id, portfolio.currency, portfolio.deposited)
    sold: dict[str, tuple[Decimal, Decimal, Decimal]] = {}
    moved, done = list(transfers), []
    for number, fill in enumerate(fills):
        while moved and moved[0].fills_before <= number:
            account = account.after_transfer(moved.pop(0))
        order = orders.get(fill.client_order_id)
        if fill.side is Side.SELL and order is not None:
            quantity, notional, fees = sold.get(fill.client_order_id, (ZERO, ZERO, ZERO))
            fee = fill.fee.amount if fill.fee.asset == portfolio.currency else ZERO
            sold[fill.client_order_id] = quantity, notional, fees = quantity + fill.quantity, notional + fill.notional, fees + fee
            if quantity == order.request.quantity:
                average = account.position(fill.symbol).average_cost or ZERO
                done.append((fill.at, notional - fees - average * quantity))
        account = account.after(fill, instruments[fill.symbol])
    return done


def _correlations(trail: RunTrail, snapshot: Snapshot) -> dict[frozenset[str], Decimal]:
    """As the gate was told them; without the bars, as the risk agent was."""
    if snapshot.bars:
        return {pair: Decimal(repr(value)) for pair, value in Computed(snapshot).correlations.items()}
    told = next((one.result for one in trail.evidence if one.tool == "get_correlations"), None)
    pairs = told.get("pairs") if isinstance(told, Mapping) else None
    if not isinstance(pairs, Mapping):
        return {}
    return {frozenset(str(pair).split("~")): Decimal(repr(value)) for pair, value in pairs.items()}


def _digest(bars: Sequence[Bar]) -> str:
    """As `graph.snapshot` makes it."""
    rows = hashlib.sha256()
    for bar in bars:
        rows.update(f"{iso(bar.opened_at)},{bar.open},{bar.high},{bar.low},{bar.close},{bar.volume}\n".encode())
    return rows.hexdigest()


def with_limits(recorded: Recorded, shown: Mapping[str, str]) -> Recorded:
    """The same run under limits that the agents would have been shown as `shown`."""
    return replace(recorded, snapshot=replace(recorded.snapshot, limits=dict(shown)))
