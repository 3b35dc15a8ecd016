"""The paper exchange: one simulated spot account behind the same port as a real venue.

It walks the market feed lazily: each call first matches everything that happened up to the clock's present. A cancel takes
its time like an order does, so `cancel` answers with an order that is still live until the cancel has arrived.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from itertools import chain
from types import TracebackType

from trading_core.brokers.base import Balance, OrderReport, Update
from trading_core.brokers.paper.admission import admit
from trading_core.brokers.paper.book import Book, PaperOrder
from trading_core.brokers.paper.matching import Matching
from trading_core.brokers.paper.news import PaperNews
from trading_core.brokers.paper.rules import PaperRules
from trading_core.brokers.paper.store import PaperStore
from trading_core.domain.clock import Clock, iso, utc
from trading_core.domain.errors import (
    AmbiguousOutcome,
    BrokerError,
    BrokerUnavailable,
    ConfigurationError,
    MarketDataError,
    OrderRefused,
)
from trading_core.domain.instruments import Instrument
from trading_core.domain.market import MarketFeed, Timeframe
from trading_core.domain.money import Money
from trading_core.domain.orders import Fill, OrderRequest


class PaperBroker:
    """A `Broker` over a market feed. Open it before use, with `open()` or as an async context manager.

    Args:
        feed: where prices come from; it stays the caller's to close.
        clock: the venue's time. Should it step back, the venue's time stands still until it has caught up.
        timeframe: of the bars that are matched against.
        deposit: what a new account starts with; a stored one must have been opened with the same.
    """

    venue = "paper"
    is_paper = True

    def __init__(
        self,
        feed: MarketFeed,
        clock: Clock,
        timeframe: Timeframe,
        *,
        account_id: str,
        deposit: Money,
        store: PaperStore,
        rules: PaperRules,
    ) -> None:
        self._feed = feed
        self._clock = clock
        self._timeframe = timeframe
        self._account_id = account_id
        self._deposit = deposit
        self._store = store
        self._rules = rules
        self._lock = asyncio.Lock()
        self._instruments: Mapping[str, Instrument] = {}
        self._matching = Matching(feed, timeframe, rules, {})
        self._book: Book | None = None
        self._news = PaperNews()

    async def open(self) -> None:
        """Open the account, or make it.

        Raises:
            BrokerUnavailable: the feed cannot say what trades.
            ConfigurationError: the store cannot be used, the clock stands before what the account has already seen, or the
                feed does not list a market in which the account has a live order.
        """
        try:
            self._instruments = dict(await self._feed.instruments())
        except MarketDataError as error:
            raise BrokerUnavailable(f"the paper exchange has no markets: {error.what}") from error
        now = utc(self._clock.now())
        book = self._store.open(account_id=self._account_id, deposit=self._deposit, now=now)
        missing = sorted({order.symbol for order in book.live.values()} - set(self._instruments))
        problem = ""
        if book.walked_to > now:
            problem = f"account {self._account_id!r} has been matched up to {iso(book.walked_to)} and the clock says {iso(now)}"
        elif missing:
            problem = f"account {self._account_id!r} has live orders in {', '.join(missing)}, which the feed does not list"
        if problem:
            self._store.close()
            raise ConfigurationError(problem, not_done="It was not opened", next_step="Use its own feed and clock, or a new file")
        self._matching = Matching(self._feed, self._timeframe, self._rules, self._instruments)
        self._book = book

    async def close(self) -> None:
        """Close the store; what is live stays live in it."""
        async with self._lock:
            self._book = None
            self._store.close()

    async def __aenter__(self) -> PaperBroker:
        await self.open()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def instruments(self) -> Mapping[str, Instrument]:
        return dict(self._instruments)

    async def balances(self) -> Mapping[str, Balance]:
        async with self._lock:
            book = await self._present()
            held = [asset for asset, total in sorted(book.totals.items()) if total]
            return {asset: Balance(asset, book.free(asset), book.locked(asset)) for asset in held}

    async def place(self, request: OrderRequest) -> OrderReport:
        async with self._lock:
            with _failing_as(OrderRefused, f"order {request.client_order_id!r} was not placed"):
                book = await self._advanced()
                try:
                    order = await self._admitted(request, book)
                except OrderRefused:
                    self._commit(book)
                    raise
                book.orders_placed = order.number
                book.put(order)
                await self._matching.walk(book, book.walked_to)  # without latency it is there at once
            with _failing_as(AmbiguousOutcome, f"order {request.client_order_id!r} may or may not have been placed"):
                self._commit(book)
            return book.touched[order.client_order_id].report()

    async def cancel(self, client_order_id: str, symbol: str) -> OrderReport:
        async with self._lock:
            with _failing_as(AmbiguousOutcome, f"the cancel of order {client_order_id!r} may not have been taken"):
                book = await self._advanced()
                order = self._find(client_order_id, symbol, book)
                if order is not None and order.is_live and order.cancel_at is None:
                    at = self._matching.arrival(book.walked_to)
                    book.put(replace(order, cancel_at=at, reason=f"cancel asked, arrives at {iso(at)}"))
                    await self._matching.walk(book, book.walked_to)
                    order = book.touched[client_order_id]
                self._commit(book)
            if order is None:
                raise OrderRefused(
                    f"the paper exchange has no order {client_order_id!r} in {symbol}", not_done="Nothing was cancelled"
                )
            return order.report()

    async def order(self, client_order_id: str, symbol: str) -> OrderReport | None:
        async with self._lock:
            book = await self._present()
            with _failing_as(BrokerUnavailable, f"order {client_order_id!r} was not read"):
                order = self._find(client_order_id, symbol, book)
            return None if order is None else order.report()

    async def open_orders(self) -> Sequence[OrderReport]:
        async with self._lock:
            return [order.report() for order in (await self._present()).live.values()]

    async def fills(self, *, since: datetime) -> Sequence[Fill]:
        async with self._lock:
            await self._present()
            with _failing_as(BrokerUnavailable, "the fills were not read"):
                return self._store.fills(utc(since))

    def updates(self) -> AsyncIterator[Update]:
        """What is matched from now on. The market is walked when the account is used: on its own nothing is told."""
        return self._news.listen()

    async def _present(self) -> Book:
        """The account as of now, stored."""
        with _failing_as(BrokerUnavailable, "the account was not read"):
            book = await self._advanced()
            self._commit(book)
            return book

    async def _advanced(self) -> Book:
        """A draft of the book in which everything up to now has been matched."""
        if self._book is None:
            raise ConfigurationError("the paper exchange is not open", next_step="Open the broker before using it")
        book = self._book.draft()
        await self._matching.walk(book, max(book.walked_to, utc(self._clock.now())))
        return book

    def _commit(self, book: Book) -> None:
        """Store a draft, if anything changed in it, and go on from it. Every fill is booked on an order, which is then touched.

        A walk in which nothing happened is not stored: walked again after a crash, nothing happens in it again.
        """
        if book.touched:
            self._store.save(book)
        self._book = book
        self._news.tell(chain(book.new_fills, (order.report() for order in book.touched.values())))

    def _find(self, client_order_id: str, symbol: str, book: Book) -> PaperOrder | None:
        order = book.touched.get(client_order_id) or book.live.get(client_order_id) or self._store.order(client_order_id)
        return order if order is not None and order.symbol == symbol else None

    async def _admitted(self, request: OrderRequest, book: Book) -> PaperOrder:
        instrument = self._instruments.get(request.symbol)
        if instrument is None:
            raise _refused(request, f"{request.symbol!r} does not trade here")
        known = request.client_order_id in book.live or request.client_order_id in book.touched
        if known or self._store.order(request.client_order_id) is not None:
            raise _refused(request, f"the client order id {request.client_order_id!r} has been used before")
        now = book.walked_to
        quote = await self._feed.ticker(request.symbol, as_of=now)
        if quote is None or quote.bid <= 0:
            raise _refused(request, f"{request.symbol} has no price yet")
        admission = admit(request, instrument, quote, book, self._rules)
        if admission.refusals:
            raise _refused(request, "; ".join(admission.refusals))
        return PaperOrder(
            number=book.orders_placed + 1,
            request=request,
            placed_at=now,
            arrives_at=self._matching.arrival(now),
            lock_price=admission.lock_price,
            updated_at=now,
        )


def _refused(request: OrderRequest, why: str) -> OrderRefused:
    return OrderRefused(
        f"order {request.client_order_id!r} was refused: {why}",
        not_done="It was not placed",
        next_step="Mend the order and send it under a new id",
    )


@contextmanager
def _failing_as(outcome: type[BrokerError], consequence: str) -> Iterator[None]:
    """Give a failure of the feed or of the store the port's meaning."""
    try:
        yield
    except MarketDataError as error:
        raise outcome(f"the paper exchange has no market data: {error.what}", not_done=consequence) from error
    except sqlite3.Error as error:
        raise outcome(f"the paper exchange cannot use its file: {error}", not_done=consequence) from error
