"""What runs tell, kept in the ledger, and following it: from any point, by any number of readers, in any process.

One writer task keeps the order of what is told. One reading serves all followers of a process: 1,000 of them cost one query.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager

from graph.events import FINAL, TOLD_WITH_STATE, EventKind, Listener, RunEvent
from graph.runs.event_data import as_json, jsonable
from graph.runs.followers import PAGE, Followers
from graph.runs.log_writer import LogWriter, Told
from trading_core.domain.clock import Clock
from trading_core.domain.errors import UnknownRun
from trading_core.persistence.desk_records import NewEvent, StoredEvent
from trading_core.persistence.records import RunRecord
from trading_core.persistence.session import Database


class EventLog:
    """The event log of one ledger, as one process writes and follows it. Work with it inside `open()`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock
        self._followers = Followers(database)
        self._writer = LogWriter(database, self._followers.wake)

    @property
    def following(self) -> int:
        """How many follow it through this process now."""
        return len(self._followers)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[EventLog]:
        """Write and read until the block ends. What was told is then on record, and every follower's iteration is over."""
        async with self._followers.open(), self._writer.open():
            yield self

    async def append(self, account_id: str, kind: EventKind, data: Mapping[str, object], *, run_id: str = "") -> StoredEvent:
        """Tell something, behind all that was told before; it is on record when this returns.

        Args:
            data: domain objects are told as JSON.
            run_id: empty for what happens between runs.

        Raises:
            LedgerError, InvalidInput: the ledger cannot keep it.
        """
        kept: asyncio.Future[StoredEvent] = asyncio.get_running_loop().create_future()
        told = {name: jsonable(value) for name, value in data.items()}
        self._writer.put(Told(NewEvent(account_id, run_id, kind, self._clock.now(), told), kept))
        await self._writer.flush()
        return await kept

    def tell(self, account_id: str, kind: EventKind, data: Mapping[str, object], *, run_id: str = "") -> None:
        """Tell something without waiting for it to be on record, such as the next words of an answer."""
        told = {name: jsonable(value) for name, value in data.items()}
        self._writer.put(Told(NewEvent(account_id, run_id, kind, self._clock.now(), told)))

    def listener(self, account_id: str) -> Listener:
        """Takes what the runs and the housekeeping of an account tell.

        What a run tells as it stops is not taken: whoever stops it writes that in the same transaction.
        """

        def hear(event: RunEvent) -> None:
            if event.kind not in TOLD_WITH_STATE:
                self._writer.put(Told(NewEvent(account_id, event.run_id, event.kind, event.at, as_json(event))))

        return hear

    async def flush(self) -> None:
        """Wait until all that was told so far is on record."""
        await self._writer.flush()

    def wake(self) -> None:
        """Have followers look at once: something was written in a transaction of somebody else's."""
        self._followers.wake()

    async def follow_run(self, run_id: str, after: int = 0) -> AsyncGenerator[StoredEvent, None]:
        """What a run tells, from behind the sequence `after` on, each event once and in order, until the run is over.

        Waiting for an operator does not end it. Close the iteration when you leave it early.

        Raises:
            UnknownRun: there is no such run.
            StoreUnavailable: the ledger cannot be read.
        """
        record, last = await self._record(run_id), after
        async with self._followers.joined((record.account_id,), run_id) as follower:
            while True:
                page, is_over = await self._page(run_id, last)
                for event in page:
                    last = event.sequence
                    yield event
                    if event.kind in FINAL:
                        return
                if is_over or (follower.is_closed and not page):
                    return
                # A full page: the ledger has more. Otherwise what comes next is handed over as it is told.
                while len(page) < PAGE and (told := await follower.next()) is not None:
                    if told.sequence <= last:
                        continue
                    last = told.sequence
                    yield told
                    if told.kind in FINAL:
                        return

    async def follow(self, accounts: Collection[str], after: int | None = None) -> AsyncGenerator[StoredEvent, None]:
        """All that is told of these accounts, in runs and between them, from behind the position `after` on; None: from now.

        It goes on until the log is closed. Close the iteration when you leave it early.

        Raises:
            StoreUnavailable: the ledger cannot be read.
        """
        async with self._followers.joined(accounts) as follower:
            async with self._database.reading() as uow:
                last = await uow.events.last_position() if after is None else after
            while True:
                async with self._database.reading() as uow:
                    page = await uow.events.after(last, accounts, PAGE)
                for event in page:
                    last = event.position
                    yield event
                if follower.is_closed and not page:
                    return
                while len(page) < PAGE and (told := await follower.next()) is not None:
                    if told.position > last:
                        last = told.position
                        yield told

    async def _record(self, run_id: str) -> RunRecord:
        async with self._database.reading() as uow:
            record = await uow.runs.get(run_id)
        if record is None:
            raise UnknownRun(f"run {run_id!r} is not on record", not_done="Nothing is followed", next_step="List the recent runs")
        return record

    async def _page(self, run_id: str, after: int) -> tuple[tuple[StoredEvent, ...], bool]:
        """The next events, and whether there will be no more: the run is over, and its last was written with its end."""
        async with self._database.reading() as uow:
            # The run first: on PostgreSQL it may end between the two, and its last event must not be missed then.
            record, page = await uow.runs.get(run_id), await uow.events.of_run(run_id, after, PAGE)
        return page, len(page) < PAGE and (record is None or record.ended_at is not None)
