"""Sessions, runs and the snapshots that runs decide on."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime

from sqlalchemy import RowMapping, bindparam, case, select, update

from trading_core.domain.errors import RunError, UnknownRun
from trading_core.persistence.desk_records import RunRequest
from trading_core.persistence.desk_tables import run_requests
from trading_core.persistence.records import (
    ENDED_STATES,
    RunKind,
    RunRecord,
    RunState,
    RunTrail,
    SessionRecord,
    SnapshotRecord,
)
from trading_core.persistence.repositories.base import Repository, columns
from trading_core.persistence.repositories.removal import remove
from trading_core.persistence.repositories.trails import read_trail
from trading_core.persistence.tables import runs, sessions, snapshots

_RUN = tuple(column.name for column in runs.c if column not in {runs.c.sequence, runs.c.number})
_LAST_CHARACTER = "\U0010ffff"
_CYCLES = frozenset({RunKind.CYCLE, RunKind.REBALANCE})
_COUNTED = case((runs.c.kind.in_(_CYCLES), 1), else_=0)
# Chats and orders share the number of the cycle that comes after them.
_NEXT = (
    select((runs.c.number + _COUNTED).label("number"))
    .where(runs.c.session_id == bindparam("session_id"))
    .order_by(runs.c.number.desc(), _COUNTED.desc())
    .limit(1)
)
# Labelled, since columns of the two tables share names.
_REQUEST = [column.label(f"request_{column.name}") for column in run_requests.c]
_WITH_REQUEST = select(runs, *_REQUEST).outerjoin(run_requests, run_requests.c.run_id == runs.c.id)


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
            raise _other_payload(record.id)
        return known

    async def queue(self, record: RunRecord) -> RunRecord:
        """Write a run for somebody to begin: its state is QUEUED, its `as_of` and `started_at` are when it was asked for.

        Asked again, the run as it now stands.

        Raises:
            RunError: the id belongs to a run of another session, account or kind.
        """
        record = replace(record, state=RunState.QUEUED)
        if await self._add(runs, columns(record) | {"number": await self._next_number(record.session_id)}, runs.c.id):
            return record
        known = await self._known(record.id)
        # A door knows of no session: the run may have got one when it began.
        same_session = record.session_id in {None, known.session_id}
        if not same_session or (known.account_id, known.kind) != (record.account_id, record.kind):
            raise _other_payload(record.id)
        return known

    async def begin(self, run_id: str, as_of: datetime, at: datetime, *, session_id: str | None = None) -> RunRecord:
        """Start a queued run, and give it as it now stands. One that was begun, or is over, is given as it is.

        Args:
            as_of: up to which it may know the world.
            at: now.
            session_id: whose run it is from now on, when it was queued without one.

        Raises:
            RunError: there is no such run.
        """
        known = await self._known(run_id)
        values: dict[str, object] = {"state": RunState.RUNNING, "as_of": as_of, "started_at": at}
        if session_id is not None and known.session_id is None:
            values |= {"session_id": session_id, "number": await self._next_number(session_id)}
        queued = update(runs).where(runs.c.id == run_id, runs.c.state == RunState.QUEUED).values(values)
        row = (await self._connection.execute(queued.returning(*runs.c))).mappings().first()
        return await self._known(run_id) if row is None else _run(row)

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
        ended_at = at if state in ENDED_STATES else None
        changed = update(runs).where(runs.c.id == run_id).values(state=state, ended_at=ended_at, error=error)
        account_id = (await self._connection.execute(changed.returning(runs.c.account_id))).scalar()
        if account_id is None:
            raise _unknown(run_id)
        await self._claims.take(account_id)

    async def recent(self, limit: int, session_id: str | None = None, *, conversations: bool = True) -> tuple[RunRecord, ...]:
        """The last runs started, newest first; without those in which somebody only asked something, if so wished."""
        query = select(runs).order_by(runs.c.sequence.desc()).limit(limit)
        if not conversations:
            query = query.where(runs.c.kind != RunKind.CONVERSATION)
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

    async def in_states(self, account_id: str, *states: RunState) -> tuple[RunRecord, ...]:
        """The account's runs in any of `states`, in the order they were started or queued."""
        # Sorted in Python for the same reason.
        rows = await self._all(select(runs).where(runs.c.account_id == account_id, runs.c.state.in_(states)))
        return tuple(_run(row) for row in sorted(rows, key=lambda row: int(row["sequence"])))

    async def page(
        self,
        accounts: Collection[str],
        *,
        limit: int,
        before: int | None = None,
        kinds: Collection[RunKind] = (),
        states: Collection[RunState] = (),
        conversation: str | None = None,
    ) -> tuple[tuple[int, RunRecord, RunRequest | None], ...]:
        """Runs of the accounts, the newest first, each with its `sequence` and why it is there: None for a run of the command
        line's own loop.

        Args:
            before: the `sequence` of the last one of the page before.
            kinds: only those; empty for all.
            states: only those; empty for all.
            conversation: only its turns.
        """
        sequence, of_account, query = runs.c.sequence + 0, run_requests.c.account_id, _WITH_REQUEST
        if conversation is None:
            sequence, of_account = runs.c.sequence, runs.c.account_id
        else:  # from its turns: by the bare columns, SQLite would walk all of the account's runs
            query = query.where(run_requests.c.conversation_id == conversation)
        query = query.order_by(sequence.desc()).limit(limit)
        if before is not None:
            query = query.where(sequence < before)
        if kinds:
            query = query.where(runs.c.kind.in_(sorted(kinds)))
        if states:
            query = query.where(runs.c.state.in_(sorted(states)))
        # An account at a time: so each walks its own index from the end, whatever the others have.
        found = [row for account in sorted(set(accounts)) for row in await self._all(query.where(of_account == account))]
        newest = sorted(found, key=lambda row: int(row["sequence"]), reverse=True)[:limit]
        return tuple((int(row["sequence"]), _run(row), _request(row)) for row in newest)

    async def count_before(self, run_id: str) -> int:
        """How many cycles of the same session were started before this run; 0 for a run that is not on record."""
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
    return RunRecord(**{name: row[name] for name in _RUN})


def _request(row: RowMapping) -> RunRequest | None:
    if row["request_run_id"] is None:
        return None
    return RunRequest(**{column.name: row[f"request_{column.name}"] for column in run_requests.c})


def _other_payload(run_id: str) -> RunError:
    return RunError(
        f"run {run_id!r} is on record with another payload",
        not_done="It was not started",
        next_step="Use a new id for a new run",
    )


def _payload(record: RunRecord) -> tuple[object, ...]:
    return record.session_id, record.account_id, record.kind, record.as_of


def _unknown(run_id: str) -> UnknownRun:
    return UnknownRun(f"run {run_id!r} is not on record", not_done="Nothing was done", next_step="List the recent runs")
