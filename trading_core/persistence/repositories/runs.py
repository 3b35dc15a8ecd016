"""Sessions, runs and the snapshots that runs decide on."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import RowMapping, bindparam, select, update

from trading_core.domain.errors import RunError
from trading_core.persistence.records import RunRecord, RunState, RunTrail, SessionRecord, SnapshotRecord
from trading_core.persistence.repositories.base import Repository, columns, without
from trading_core.persistence.repositories.removal import remove
from trading_core.persistence.repositories.trails import read_trail
from trading_core.persistence.tables import runs, sessions, snapshots

_ENDED = frozenset({RunState.DONE, RunState.FAILED})
_LAST_CHARACTER = "\U0010ffff"
_NEXT = (
    select((runs.c.number + 1).label("number"))
    .where(runs.c.session_id == bindparam("session_id"))
    .order_by(runs.c.sequence.desc())
    .limit(1)
)


class SessionsRepository(Repository):
    async def add(self, record: SessionRecord) -> None:
        await self._write(sessions.insert(), columns(record))

    async def remove(self, session_id: str, account_id: str) -> bool:
        """Take a session and its account out of the ledger, to do it again from its start: see `removal.remove`."""
        return await remove(self._connection, session_id, account_id)

    async def get(self, session_id: str) -> SessionRecord | None:
        row = await self._one(select(sessions).where(sessions.c.id == session_id))
        return None if row is None else SessionRecord(**row)

    async def all(self) -> tuple[SessionRecord, ...]:
        """Newest first; those of one instant by id."""
        query = select(sessions).order_by(sessions.c.created_at.desc(), sessions.c.id)
        return tuple(SessionRecord(**row) for row in await self._all(query))


class SnapshotsRepository(Repository):
    async def put(self, snapshot_hash: str, as_of: datetime, content: Mapping[str, object]) -> None:
        """Keep a snapshot under its hash; one already there is the same by construction."""
        await self._add(snapshots, {"hash": snapshot_hash, "as_of": as_of, "content": content}, snapshots.c.hash)

    async def get(self, snapshot_hash: str) -> SnapshotRecord | None:
        row = await self._one(select(snapshots).where(snapshots.c.hash == snapshot_hash))
        return None if row is None else SnapshotRecord(**row)


class RunsRepository(Repository):
    async def start(self, record: RunRecord) -> RunRecord:
        """Write a run before it does anything. Asked again with the same payload, the run as it now stands.

        Raises:
            RunError: the id belongs to a run of another session, account, kind or instant.
        """
        if await self._add(runs, columns(record) | {"number": await self._next_number(record.session_id)}, runs.c.id):
            return record
        known = await self._known(record.id)
        if _payload(known) != _payload(record):
            raise RunError(
                f"run {record.id!r} is on record with another payload",
                not_done="It was not started",
                next_step="Use a new id for a new run",
            )
        return known

    async def get(self, run_id: str) -> RunRecord | None:
        row = await self._one(select(runs).where(runs.c.id == run_id))
        return None if row is None else _run(row)

    async def set_snapshot(self, run_id: str, snapshot_hash: str) -> None:
        """Fix what the run may know. The snapshot must be on record.

        Raises:
            RunError: there is no such run, or it knows another snapshot.
        """
        known = await self._known(run_id)
        if known.snapshot_hash not in {None, snapshot_hash}:
            raise RunError(
                f"run {run_id!r} already decides on snapshot {known.snapshot_hash!r}",
                not_done="Its snapshot was not replaced",
                next_step="Resume it on that one, or start a new run",
            )
        await self._connection.execute(update(runs).where(runs.c.id == run_id).values(snapshot_hash=snapshot_hash))

    async def set_state(self, run_id: str, state: RunState, *, at: datetime, error: str = "") -> None:
        """Move a run; `at` is kept as its end when `state` is final. What its intents reserved is then free.

        Raises:
            RunError: there is no such run.
        """
        ended_at = at if state in _ENDED else None
        changed = update(runs).where(runs.c.id == run_id).values(state=state, ended_at=ended_at, error=error)
        account_id = (await self._connection.execute(changed.returning(runs.c.account_id))).scalar()
        if account_id is None:
            raise _unknown(run_id)
        await self._claims.take(account_id)

    async def recent(self, limit: int, session_id: str | None = None) -> tuple[RunRecord, ...]:
        """The last runs started, newest first."""
        query = select(runs).order_by(runs.c.sequence.desc()).limit(limit)
        if session_id is not None:
            query = query.where(runs.c.session_id == session_id)
        return tuple(_run(row) for row in await self._all(query))

    async def beginning(self, prefix: str, limit: int) -> tuple[RunRecord, ...]:
        """Runs whose id begins with `prefix`, the one with exactly that id first, then by id."""
        # Ids sort by code point, so those with a prefix lie side by side in the index.
        query = select(runs).where(runs.c.id >= prefix, runs.c.id < prefix + _LAST_CHARACTER).order_by(runs.c.id).limit(limit)
        return tuple(_run(row) for row in await self._all(query))

    async def last(self, session_id: str) -> RunRecord | None:
        """The run of the session that was started last."""
        return next(iter(await self.recent(1, session_id)), None)

    async def last_of_account(self, account_id: str) -> RunRecord | None:
        """The run on the account that was started last."""
        row = await self._one(select(runs).where(runs.c.account_id == account_id).order_by(runs.c.sequence.desc()).limit(1))
        return None if row is None else _run(row)

    async def of_session(self, session_id: str) -> tuple[RunRecord, ...]:
        """Every run of a session, in the order they were started."""
        query = select(runs).where(runs.c.session_id == session_id).order_by(runs.c.sequence)
        return tuple(_run(row) for row in await self._all(query))

    async def in_state(self, session_id: str, *states: RunState) -> tuple[RunRecord, ...]:
        """The session's runs in any of `states`, in the order they were started."""
        # Sorted in Python: asked for an order, SQLite would walk all of the session's runs by the index that has it.
        rows = await self._all(select(runs).where(runs.c.session_id == session_id, runs.c.state.in_(states)))
        return tuple(_run(row) for row in sorted(rows, key=lambda row: int(row["sequence"])))

    async def count_before(self, run_id: str) -> int:
        """How many runs of the same session were started before this one; 0 for a run that is not on record."""
        row = await self._one(select(runs.c.number).where(runs.c.id == run_id))
        return 0 if row is None else int(row["number"])

    async def whole(self, run_id: str) -> RunTrail:
        """Everything on record about a run.

        Raises:
            RunError: there is no such run.
        """
        return await read_trail(self._connection, await self._known(run_id))

    async def _next_number(self, session_id: str | None) -> int:
        row = None if session_id is None else await self._one(_NEXT, session_id=session_id)
        return 0 if row is None else int(row["number"])

    async def _known(self, run_id: str) -> RunRecord:
        record = await self.get(run_id)
        if record is None:
            raise _unknown(run_id)
        return record


def _run(row: RowMapping) -> RunRecord:
    return RunRecord(**without(row, "sequence", "number"))


def _payload(record: RunRecord) -> tuple[object, ...]:
    return record.session_id, record.account_id, record.kind, record.as_of


def _unknown(run_id: str) -> RunError:
    return RunError(f"run {run_id!r} is not on record", not_done="Nothing was done", next_step="List the recent runs")
