"""The events of one account, read once for all of this process who follow it."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable
from contextlib import aclosing, suppress

from api.live.access import RunFacts, facts_of
from api.live.inbox import Inbox
from api.live.told import Told
from graph.runs.event_log import EventLog
from trading_core.domain.errors import AlgoTrendyError
from trading_core.persistence.desk_records import StoredEvent
from trading_core.persistence.records import RunKind
from trading_core.persistence.session import Database

_AGAIN_AFTER = 1.0  # seconds after the ledger could not be read
_MOST_RUNS = 2_000  # of which is remembered who may see them
_log = logging.getLogger("algotrendy.live")

Hear = Callable[[Told], None]


class RunsSeen:
    """Who may see which run, remembered: it never changes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, RunFacts] = {}

    async def of(self, event: StoredEvent) -> RunFacts | None:
        """Of an event's run; None between runs."""
        if not event.run_id:
            return None
        if (known := self._known.get(event.run_id)) is not None:
            return known
        found = _told(event) or await facts_of(self._database, event.run_id)
        if found is not None:
            if len(self._known) >= _MOST_RUNS:
                del self._known[next(iter(self._known))]
            self._known[event.run_id] = found
        return found


def _told(event: StoredEvent) -> RunFacts | None:
    """As the first event of a run tells it."""
    kind, by = event.data.get("kind"), event.data.get("requested_by")
    if event.kind != "run_queued" or not isinstance(kind, str) or not isinstance(by, str):
        return None
    return RunFacts(event.run_id, event.account_id, RunKind(kind), by)


class AccountFeed:
    """One account's events from when the first came to follow it until the last has left.

    Whoever joins is given every event that is committed after it joined: what was told before, it finds in the ledger.
    """

    def __init__(self, account_id: str, database: Database, log: EventLog, runs: RunsSeen) -> None:
        self._account_id, self._database, self._log, self._runs = account_id, database, log, runs
        self._of_run: defaultdict[str, dict[Inbox, None]] = defaultdict(dict)
        self._all: dict[Inbox, Hear] = {}
        self._task: asyncio.Task[None] | None = None
        self._position = 0
        self._starting = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._all) + sum(map(len, self._of_run.values()))

    async def join_run(self, run_id: str, inbox: Inbox) -> None:
        """Give an inbox what one run tells.

        Raises:
            StoreUnavailable: the ledger cannot be read.
        """
        self._of_run[run_id][inbox] = None
        await self._started()

    async def join(self, inbox: Inbox, hear: Hear) -> None:
        """Have somebody hear all that is told, and miss what could not be read.

        Raises:
            StoreUnavailable: the ledger cannot be read.
        """
        self._all[inbox] = hear
        await self._started()

    def leave(self, inbox: Inbox, run_id: str | None = None) -> None:
        if run_id is None:
            self._all.pop(inbox, None)
        elif (followers := self._of_run.get(run_id)) is not None:
            followers.pop(inbox, None)
            if not followers:
                del self._of_run[run_id]

    async def stop(self) -> None:
        """Read no more."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _started(self) -> None:
        async with self._starting:
            if self._task is None or self._task.done():
                async with self._database.reading() as uow:
                    self._position = await uow.events.last_position()
                self._task = asyncio.create_task(self._run(), name=f"live: {self._account_id}")

    async def _run(self) -> None:
        while True:
            try:
                async with aclosing(self._log.follow((self._account_id,), self._position)) as events:
                    async for event in events:
                        self._tell(Told(event, await self._runs.of(event)))
                        self._position = event.position
                break
            except AlgoTrendyError as error:  # followers wait; nothing is lost, since it is read on from the same place
                _log.warning("the events of %r could not be read: %s", self._account_id, error)
                await asyncio.sleep(_AGAIN_AFTER)
            except Exception:
                _log.exception("the events of %r can no longer be told", self._account_id)
                break
        for inbox in self._inboxes():  # usually because the log was closed; whoever follows comes back
            inbox.close()

    def _tell(self, told: Told) -> None:
        for inbox in self._of_run.get(told.event.run_id, ()):
            inbox.give(told)
        for hear in self._all.values():
            hear(told)

    def _inboxes(self) -> list[Inbox]:
        return [*self._all, *(inbox for followers in self._of_run.values() for inbox in followers)]
