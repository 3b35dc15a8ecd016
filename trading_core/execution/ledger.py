"""One account's books: read once, kept in memory, and written in transactions that know what they start from.

A transaction begins by claiming the account, which locks it and counts its version up. When the version is the next one after
the book in memory, nobody else has written in between, and nothing needs to be read.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from trading_core.audit.entry import AuditAction, AuditEntry, SubjectKind, recorded
from trading_core.domain.clock import Clock
from trading_core.domain.errors import LedgerError
from trading_core.domain.intents import VENUE, RiskDecision, TradeIntent, Verdict
from trading_core.domain.orders import Order, OrderEvent
from trading_core.execution.book import Book, read_book
from trading_core.execution.risk_record import save_risk
from trading_core.persistence.session import Database
from trading_core.persistence.unit_of_work import UnitOfWork
from trading_core.risk.limits_book import LimitsBook

_DAY = 86_400
# Fills are on record as such, each under the venue's own number. What else ends or suspends an order is told to the audit trail.
_TOLD = {
    OrderEvent.REFUSED: AuditAction.ORDER_REFUSED,
    OrderEvent.AMBIGUOUS: AuditAction.ORDER_UNKNOWN,
    OrderEvent.ABSENT: AuditAction.ORDER_CLOSED,
    OrderEvent.CANCELLED: AuditAction.ORDER_CLOSED,
    OrderEvent.EXPIRED: AuditAction.ORDER_CLOSED,
}


@dataclass(slots=True)
class Entry:
    """One transaction on the account. What it changes of the portfolio and of the risk state is written when it ends.

    Attributes:
        uow: for everything that the book does not hold.
        book: the account with what this transaction has changed so far.
    """

    uow: UnitOfWork
    book: Book
    now: datetime
    recent_since: datetime
    told: list[AuditEntry] = field(default_factory=list)

    async def order(self, client_order_id: str) -> Order:
        """An order as it stands.

        Raises:
            LedgerError: it is not on record.
        """
        order = self.book.live.get(client_order_id) or await self.uow.orders.get(client_order_id)
        if order is None or order.account_id != self.book.portfolio.account_id:
            raise LedgerError(
                f"the venue tells of order {client_order_id!r}, which this desk did not place",
                not_done="It was not booked",
                next_step="Use an account that nothing else trades on",
            )
        return order

    async def decide(self, intent: TradeIntent, decision: RiskDecision) -> None:
        """Write down what the gate said. Unless it denied, the intent reserves from now on what it would take."""
        await self.uow.intents.add_decision(decision)
        denied = decision.verdict is Verdict.DENIED
        self.book = self.book.releasing(intent.intent_id) if denied else self.book.reserving(intent)

    async def write(self, order: Order, proposer: str, sender: str) -> None:
        """Write down an order that is to be sent, by whom it was proposed and who sends it."""
        await self.uow.orders.add(order)
        self.book = self.book.sending(order, proposer, self.recent_since)
        what = recorded(order.request, "symbol", "side", "type", "quantity", "limit_price", "stop_price", "time_in_force")
        what |= {"intent_id": order.intent_id, "purpose": order.purpose, "proposer": proposer}
        key, run_id = order.client_order_id, order.run_id
        self.tell(sender, AuditAction.ORDER_SUBMITTED, SubjectKind.ORDER, key, None, what, run_id=run_id)

    async def move(self, before: Order, after: Order, event: OrderEvent, detail: str) -> None:
        """Write down what became of an order."""
        await self.uow.orders.update(before, after, event, detail)
        self.book = self.book.moving(after)
        if event in _TOLD:
            told = [recorded(order, "state", "filled", "reason") for order in (before, after)]
            self.tell(VENUE, _TOLD[event], SubjectKind.ORDER, after.client_order_id, *told, run_id=after.run_id)

    def tell(
        self,
        actor: str,
        action: AuditAction,
        kind: SubjectKind,
        subject_id: str,
        before: Mapping[str, object] | None,
        after: Mapping[str, object] | None,
        *,
        run_id: str,
    ) -> None:
        """Have the audit trail told when this ends: its head is held until the commit, and is asked for last."""
        self.told.append(AuditEntry(self.now, actor, action, kind, subject_id, before, after, run_id))


class Ledger:
    """The books of one account, for one process. Several may be open on the same database."""

    def __init__(self, account_id: str, database: Database, clock: Clock, limits: LimitsBook) -> None:
        self.account_id, self._database, self._clock = account_id, database, clock
        windows = [limits.of(account_id, strategy).duplicate_window_seconds for strategy in ("", *limits.strategy)]
        self._recent = timedelta(seconds=max(_DAY, *windows))
        self._committed: Book | None = None

    async def book(self) -> Book:
        """The account as it now is on record.

        Raises:
            LedgerError: it is not.
            StoreUnavailable: the database cannot be read.
        """
        async with self._database.reading() as uow:
            version, known = await uow.claims.version(self.account_id), self._committed
            book = known if known is not None and known.version == version else await self._read(uow, version)
        self._keep(book)
        return book

    async def order(self, client_order_id: str) -> Order:
        """An order, live or not.

        Raises:
            LedgerError: it is not on record.
        """
        async with self._database.reading() as uow:
            order = await uow.orders.get(client_order_id)
        if order is None or order.account_id != self.account_id:
            raise LedgerError(f"order {client_order_id!r} is not on record", not_done="Nothing was changed")
        return order

    async def intent(self, intent_id: str) -> TradeIntent:
        """An intent of this account.

        Raises:
            LedgerError: it is not on record.
        """
        intent = await self.find_intent(intent_id)
        if intent is None or intent.account_id != self.account_id:
            raise LedgerError(f"intent {intent_id[:12]!r} is not on record", not_done="Nothing was sent")
        return intent

    async def find_intent(self, intent_id: str) -> TradeIntent | None:
        """An intent of any account; None when there is none."""
        async with self._database.reading() as uow:
            return await uow.intents.get(intent_id)

    async def last_fill_at(self) -> datetime | None:
        """When the account last traded."""
        async with self._database.reading() as uow:
            return await uow.fills.last_at(self.account_id)

    def reading(self) -> AbstractAsyncContextManager[UnitOfWork]:
        """The database, for what is not of the account's books."""
        return self._database.reading()

    async def lately(self) -> Book:
        """The account as this process last knew it, for what need not be exact: where to look, what to ask prices of."""
        return self._committed or await self.book()

    def forget(self) -> None:
        """Read everything again the next time."""
        self._committed = None

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Entry]:
        """A transaction on the account: it starts from the newest books and nobody else writes to the account meanwhile.

        Raises:
            LedgerError: the account is not on record, or what was written contradicts it. Nothing was kept.
            StoreUnavailable: the database is locked, full or gone. Nothing was kept.
        """
        async with self._database.transaction() as uow:
            # What transactions of the same commit left is newer than what was committed, and known to them alone.
            known, claim = uow.memo.get(self.account_id), await uow.claims.take(self.account_id)
            if not isinstance(known, Book):
                known = self._committed if claim.first else None
                if known is None or known.version != claim.version - 1:
                    known = await self._read(uow, claim.version - 1)
            now = self._clock.now()
            entry = Entry(uow, replace(known, version=claim.version), now, now - self._recent)
            yield entry
            after = entry.book
            if after.portfolio is not known.portfolio:
                await uow.portfolios.save(after.portfolio, known.portfolio)
            if after.risk is not None and after.risk != known.risk:
                await save_risk(uow, self.account_id, known.risk_at(now), after.risk, now)
            for told in entry.told:
                await uow.audit.append(told)
            uow.memo[self.account_id] = after
        # What committed together is on record together: the last of them is what the account now is.
        last = uow.memo.get(self.account_id)
        if isinstance(last, Book):
            self._keep(last)

    def _keep(self, book: Book) -> None:
        if self._committed is None or self._committed.version < book.version:
            self._committed = book

    async def _read(self, uow: UnitOfWork, version: int) -> Book:
        return await read_book(uow, self.account_id, version, self._clock.now() - self._recent)
