"""The audit trail in the database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, LargeBinary, RowMapping, Select, case, cast, func, insert, literal_column, null, select
from sqlalchemy.ext.asyncio import AsyncConnection

from trading_core.audit.chain import AuditHead, AuditRow, seal
from trading_core.audit.correlation import correlation
from trading_core.audit.entry import AuditEntry, name_text, time_text
from trading_core.domain.errors import LedgerError
from trading_core.persistence.audit_tables import audit_head, audit_log
from trading_core.persistence.repositories.base import Repository, columns

BATCH = 500  # rows read at a time while walking

# FOR UPDATE is PostgreSQL's; SQLite's transaction has the only write lock from its start, and leaves the words out.
# A locked row rather than an advisory lock: one statement locks and reads, and what it read is the newest committed row.
_LOCKED_HEAD = select(audit_head.c.sequence, audit_head.c.hash).where(audit_head.c.id == 1).with_for_update()
_HEAD = select(audit_head.c.sequence, audit_head.c.hash).where(audit_head.c.id == 1)
_INSERT = insert(audit_log)
_AT = "audit.head"


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which rows are wanted: `since` an instant, before `until`, and of one actor, action or subject."""

    since: datetime | None = None
    until: datetime | None = None
    actor: str | None = None
    action: str | None = None
    subject_id: str | None = None


EVERYTHING = AuditFilter()


class AuditRepository(Repository):
    """Appends to the chain and reads it. One object serves one transaction.

    Args:
        memo: of transactions that commit together. The head is in it once one of them has locked it.
    """

    def __init__(self, connection: AsyncConnection, memo: dict[str, object] | None = None) -> None:
        super().__init__(connection)
        self._memo = {} if memo is None else memo

    async def append(self, entry: AuditEntry) -> AuditRow:
        """Tell the trail of a change, in the transaction that makes it. The request or run it is made in goes with it.

        Do it last: on PostgreSQL the first append of a transaction waits for every other that has appended and not ended.

        Raises:
            LedgerError: the head of the chain is gone.
        """
        head = self._memo.get(_AT)
        if not isinstance(head, AuditHead):
            head = await self._lock()
        if not entry.correlation_id:
            entry = replace(entry, correlation_id=correlation())
        row = seal(entry, head)
        await self._write(_INSERT, columns(row))
        self._memo[_AT] = AuditHead(row.sequence, row.hash)
        return row

    async def head(self) -> AuditHead | None:
        """The newest row; None when somebody removed the table's one row."""
        row = await self._one(_HEAD)
        return None if row is None else AuditHead(row["sequence"], row["hash"])

    async def get(self, sequence: int) -> AuditRow | None:
        rows = await self._all(self._rows().where(audit_log.c.sequence == sequence))
        return _row(rows[0]) if rows else None

    async def newest(self, limit: int, wanted: AuditFilter = EVERYTHING, before: int | None = None) -> tuple[AuditRow, ...]:
        """The last rows, or the last before a row's number, newest first."""
        query = _filtered(self._rows(), wanted).order_by(audit_log.c.sequence.desc()).limit(limit)
        if before is not None:
            query = query.where(audit_log.c.sequence < before)
        return tuple(_row(row) for row in await self._all(query))

    async def walk(self, wanted: AuditFilter = EVERYTHING) -> AsyncIterator[AuditRow]:
        """All rows, oldest first, read in batches by number so that memory stays the same for any length."""
        query = _filtered(self._rows(), wanted).order_by(audit_log.c.sequence).limit(BATCH)
        batch: Sequence[RowMapping] = await self._all(query)
        while batch:
            for row in batch:
                yield _row(row)
            batch = await self._all(query.where(audit_log.c.sequence > batch[-1]["sequence"])) if len(batch) == BATCH else ()

    async def _lock(self) -> AuditHead:
        row = await self._one(_LOCKED_HEAD)
        if row is None:
            raise LedgerError(
                "the head of the audit trail is gone",
                not_done="Nothing of the transaction was written",
                next_step="Run `algotrendy audit verify`, and restore the database from a backup",
            )
        return AuditHead(row["sequence"], row["hash"])

    def _rows(self) -> Select[tuple[object, ...]]:
        """Every column as it is stored. SQLite would fail on text that is no UTF-8 any more, so it hands out bytes."""
        if self._connection.dialect.name != "sqlite":
            return select(*audit_log.c)
        return select(*(column if column is audit_log.c.sequence else _bytes(column) for column in audit_log.c))


def _bytes(column: ColumnElement[str]) -> ColumnElement[bytes]:
    # A value that is neither text nor NULL was put there by somebody else: FF is no text in UTF-8, so it never matches.
    kinds = {"text": cast(column, LargeBinary), "null": null()}
    return case(kinds, value=func.typeof(column), else_=literal_column("x'ff'")).label(column.key)


def _filtered(query: Select[tuple[object, ...]], wanted: AuditFilter) -> Select[tuple[object, ...]]:
    if wanted.since is not None:
        query = query.where(audit_log.c.at >= time_text(wanted.since))
    if wanted.until is not None:
        query = query.where(audit_log.c.at < time_text(wanted.until))
    for name in ("actor", "action", "subject_id"):
        if (value := getattr(wanted, name)) is not None:
            query = query.where(audit_log.c[name] == name_text(value))
    return query


def _row(row: RowMapping) -> AuditRow:
    values: list[Any] = [
        value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value for value in row.values()
    ]
    return AuditRow(*values)  # its fields are the columns, in their order
