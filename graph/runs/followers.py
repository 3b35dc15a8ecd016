"""Everybody of this process who follows the event log, served by one reading of it."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from trading_core.domain.errors import AlgoTrendyError
from trading_core.persistence.desk_records import StoredEvent
from trading_core.persistence.session import Database

POLL_SECONDS = 0.25  # how often the ledger is read for what other processes tell
PAGE = 500  # events of one reading
_MOST_WAITING = 5_000  # events kept for one slow follower; it reads the rest from the ledger itself
_log = logging.getLogger("algotrendy.followers")


class Follower:
    """One reader. It is given what is told from its joining on; what was told before, it reads itself."""

    def __init__(self, accounts: frozenset[str], run_id: str | None) -> None:
        self.accounts, self.run_id = accounts, run_id
        self._waiting: deque[StoredEvent] = deque()
        self._ready = asyncio.Event()
        self._missed = False
        self.is_closed = False

    def wants(self, event: StoredEvent) -> bool:
        return event.run_id == self.run_id if self.run_id is not None else event.account_id in self.accounts

    def give(self, event: StoredEvent) -> None:
        if len(self._waiting) >= _MOST_WAITING:
            self._waiting.clear()
            self._missed = True
        if not self._missed:
            self._waiting.append(event)
        self._ready.set()

    def close(self) -> None:
        self.is_closed = True
        self._ready.set()

    async def next(self) -> StoredEvent | None:
        """The next event; None when some were dropped, or the log is closed: then the ledger has what comes next."""
        while not self._waiting and not self._missed and not self.is_closed:
            self._ready.clear()
            await self._ready.wait()
        if self._waiting:
            return self._waiting.popleft()
        self._missed = False
        return None


class Followers:
    """The followers, and the one task that reads for them all."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._all: dict[Follower, None] = {}
        self._position = 0
        self._wake = asyncio.Event()
        self._reading = asyncio.Lock()
        self._is_open = False

    def __len__(self) -> int:
        return len(self._all)

    @property
    def is_open(self) -> bool:
        return self._is_open

    def wake(self) -> None:
        """Something was told by this process."""
        if self._all:
            self._wake.set()

    @asynccontextmanager
    async def joined(self, accounts: Collection[str], run_id: str | None = None) -> AsyncIterator[Follower]:
        """A follower of accounts, or of one run on one of them.

        Raises:
            StoreUnavailable: the ledger cannot be read.
        """
        follower = Follower(frozenset(accounts), run_id)
        # Not while a reading is under way: it would pass over events of an account that nobody followed when it began.
        async with self._reading:
            if not self._all:
                async with self._database.reading() as uow:
                    self._position = await uow.events.last_position()
            self._all[follower] = None
        self._wake.set()
        if not self._is_open:
            follower.close()
        try:
            yield follower
        finally:
            self._all.pop(follower, None)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Read for the followers until the block ends; then each is told that it is over."""
        task = asyncio.create_task(self._run(), name="event log reader")
        self._is_open = True
        try:
            yield
        finally:
            self._is_open = False
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            for follower in self._all:
                follower.close()

    async def _run(self) -> None:
        while True:
            await self._pause()
            try:
                await self._read()
            except AlgoTrendyError as error:
                _log.warning("the event log could not be read: %s", error)
                await asyncio.sleep(POLL_SECONDS)
            except Exception:  # or everybody who follows would wait for ever
                _log.exception("the event log could not be read")
                await asyncio.sleep(POLL_SECONDS)

    async def _pause(self) -> None:
        try:
            # Nobody there: nothing is asked of the ledger until somebody comes.
            async with asyncio.timeout(POLL_SECONDS if self._all else None):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()

    async def _read(self) -> None:
        async with self._reading:
            is_more = bool(self._all)
            while is_more:
                accounts = frozenset[str]().union(*(follower.accounts for follower in self._all))
                async with self._database.reading() as uow:
                    page = await uow.events.after(self._position, accounts, PAGE)
                for event in page:
                    for follower in self._all:
                        if follower.wants(event):
                            follower.give(event)
                if page:
                    self._position = page[-1].position
                is_more = len(page) == PAGE and bool(self._all)
