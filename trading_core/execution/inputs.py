"""Everything the gate may know, read for one intent."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from trading_core.auth.permissions import Principal
from trading_core.domain.clock import Clock
from trading_core.domain.errors import MarketDataError, UnknownSymbol
from trading_core.domain.instruments import Instrument
from trading_core.domain.intents import CORE
from trading_core.domain.market import MarketFeed, Ticker
from trading_core.execution.book import Book
from trading_core.execution.booking import Booking
from trading_core.execution.forms import reserve
from trading_core.execution.ledger import Ledger
from trading_core.risk.checks import GateInputs, RecentOrder
from trading_core.risk.state import AccountRisk, TradingState


class InputsReader:
    """Reads the ledger and the market for the gate.

    Attributes:
        correlations: of returns, by pair; a missing pair counts as fully correlated.
        disagreement: in what the ledger and the venue differ; while there is any, the gate lets only exits pass.
    """

    def __init__(
        self,
        ledger: Ledger,
        booking: Booking,
        feed: MarketFeed,
        clock: Clock,
        instruments: Mapping[str, Instrument],
    ) -> None:
        self._ledger, self._booking = ledger, booking
        self._feed, self._clock, self._instruments = feed, clock, instruments
        self.correlations: Mapping[frozenset[str], Decimal] = {}
        self.disagreement = ""

    async def tickers(self, symbol: str) -> dict[str, Ticker]:
        """Prices of the symbol and of all that is held or working. What cannot be read is left out, and the gate denies."""
        book = await self._ledger.lately()
        working = {order.symbol for order in book.live.values()} | {intent.symbol for intent in book.waiting.values()}
        now = self._clock.now()
        found: dict[str, Ticker] = {}
        for name in sorted({symbol, *book.portfolio.held(), *working}):
            try:
                ticker = await self._feed.ticker(name, as_of=now)
            except (MarketDataError, UnknownSymbol):
                continue
            if ticker is not None:
                found[name] = ticker
        return found

    def read(self, book: Book, proposer: Principal, tickers: Mapping[str, Ticker], *, has_approval: bool, but: str) -> GateInputs:
        """The gate's inputs for the intent `but`. Other intents that were approved and wait to be sent count as live orders."""
        now = self._clock.now()
        waiting = [intent for intent in book.waiting.values() if intent.intent_id != but]
        asked = [RecentOrder(i.created_at, i.proposer, i.symbol, i.side, i.quantity, i.intent_id) for i in waiting]
        return GateInputs(
            now=now,
            actor=proposer,
            portfolio=book.portfolio,
            account_known_at=self._booking.known_at,
            open_orders=(*book.live.values(), *(reserve(intent) for intent in waiting)),
            instruments=self._instruments,
            tickers=tickers,
            risk=self._held_back(book.risk_at(now), now),
            correlations=self.correlations,
            recent_orders=(*book.recent, *asked),
            venue_healthy=self._booking.known_at is not None,
            has_approval=has_approval,
        )

    def _held_back(self, risk: AccountRisk, now: datetime) -> AccountRisk:
        """The account's state as the gate is to see it. This is not written down: it ends with the disagreement."""
        if not self.disagreement or risk.trading_state is not TradingState.ACTIVE:
            return risk
        return risk.reduced(CORE, f"the ledger and the venue differ: {self.disagreement}", now)
