"""The log of what happens: every step of every run, numbered over the whole ledger so that it can be followed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, Select, and_, bindparam, delete, func, insert, or_, select, text, union_all

from trading_core.persistence.desk_records import NewEvent, StoredEvent
from trading_core.persistence.desk_tables import run_events
from trading_core.persistence.repositories.base import Repository, columns
from trading_core.persistence.tables import runs

# PostgreSQL gives out positions before it commits them: whoever got the higher one could commit first, and a reader would pass
# over the lower. Held until the transaction ends, this lock makes them commit in their order. SQLite has one writer anyway.
# The number is the first eight bytes of "algoevents" as an integer.
# https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
_IN_ORDER = text(f"SELECT pg_advisory_xact_lock({int.from_bytes(b'algoevents'[:8], 'big')})")
_LAST_STEP = select(func.coalesce(func.max(run_events.c.sequence), 0)).where(run_events.c.run_id == bindparam("run"))
_LAST = select(func.coalesce(func.max(run_events.c.position), 0))
_INSERT = insert(run_events).returning(run_events.c.position, sort_by_parameter_order=True)


class EventsRepository(Repository):
    """Tells and reads. One object serves one transaction.

    Tell late in a transaction, and before its audit trail: on PostgreSQL every other teller waits until this one has ended.
    """

    _waited = False

    async def append(self, account_id: str, run_id: str, kind: str, at: datetime, data: Mapping[str, object]) -> StoredEvent:
        """Tell one step; `run_id` is empty between runs.

        Raises:
            LedgerError: there is no such account.
            InvalidInput: `data` holds what JSON cannot keep.
        """
        (event,) = await self.append_many([NewEvent(account_id, run_id, kind, at, data)])
        return event

    async def append_many(self, events: Sequence[NewEvent]) -> tuple[StoredEvent, ...]:
        """`append` for several at once, in their order."""
        if not events:
            return ()
        await self._wait_for_others()
        last = {run: await self._last_step(run) for run in dict.fromkeys(event.run_id for event in events) if run}
        rows = []
        for event in events:
            if event.run_id:
                last[event.run_id] += 1
            rows.append(columns(event) | {"run_id": event.run_id or None, "sequence": last.get(event.run_id, 0)})
        given = (await self._connection.execute(_INSERT, rows)).scalars()
        return tuple(
            StoredEvent(position, event.account_id, event.run_id, row["sequence"], event.kind, event.at, event.data)
            for position, event, row in zip(given, events, rows, strict=True)
        )

    async def holds(self, told: Sequence[StoredEvent]) -> bool:
        """Whether an earlier transaction that told these was committed; where it has not ended yet, that is waited for.

        For whoever lost the connection to a server while it committed.
        """
        if not told:
            return False
        await self._wait_for_others()
        last = told[-1]  # all of them were committed or none
        found = await self._read(select(run_events).where(run_events.c.position == last.position))
        # SQLite may give the position of a row that was rolled back to another one.
        return any(replace(one, data=last.data) == last for one in found)

    async def of_run(self, run_id: str, after: int, limit: int) -> tuple[StoredEvent, ...]:
        """The steps of a run with a higher `sequence` than `after`, the first of them, in their order."""
        query = select(run_events).where(run_events.c.run_id == run_id, run_events.c.sequence > after)
        return await self._read(query.order_by(run_events.c.sequence).limit(limit))

    async def last_of_run(self, run_id: str) -> StoredEvent | None:
        """The step of a run that was told last; None before the first."""
        query = select(run_events).where(run_events.c.run_id == run_id).order_by(run_events.c.sequence.desc()).limit(1)
        return next(iter(await self._read(query)), None)

    async def after(self, position: int, accounts: Collection[str] | None, limit: int) -> tuple[StoredEvent, ...]:
        """What was told after `position`, the first of it, in the order it was told.

        Whoever asks again from the last position that came misses nothing and gets nothing twice.

        Args:
            accounts: only what is about these; None for every account.
        """
        query = select(run_events).where(run_events.c.position > position).order_by(run_events.c.position).limit(limit)
        if accounts is None:
            return await self._read(query)
        # Each account's own first rows by its index: "in" would sort all that there is of all of them. In one statement, so that
        # all are read at one moment.
        parts = [query.where(run_events.c.account_id == account) for account in sorted(set(accounts))]
        if len(parts) < 2:
            return await self._read(parts[0]) if parts else ()
        found = union_all(*(part.subquery().select() for part in parts)).subquery()
        return await self._read(select(found).order_by(found.c.position).limit(limit))

    async def prune(self, before: datetime) -> int:
        """Take out the steps of runs that ended before an instant, and what was told between runs before it; how many those were.

        What a run decided, sent and filled is kept elsewhere, and stays. No position is given out again.
        """
        over = select(runs.c.id).where(runs.c.ended_at < before)
        old = or_(run_events.c.run_id.in_(over), and_(run_events.c.run_id.is_(None), run_events.c.at < before))
        return (await self._connection.execute(delete(run_events).where(old))).rowcount

    async def last_position(self) -> int:
        """Where the log ends now; 0 for an empty one."""
        return int((await self._connection.execute(_LAST)).scalar_one())

    async def _wait_for_others(self) -> None:
        if not self._waited and self._connection.dialect.name == "postgresql":
            await self._connection.execute(_IN_ORDER)
        self._waited = True

    async def _last_step(self, run_id: str) -> int:
        return int((await self._connection.execute(_LAST_STEP, {"run": run_id})).scalar_one())

    async def _read(self, query: Select[Any]) -> tuple[StoredEvent, ...]:
        return tuple(_event(row) for row in await self._all(query))


def _event(row: RowMapping) -> StoredEvent:
    return StoredEvent(**{**row, "run_id": row["run_id"] or ""})
