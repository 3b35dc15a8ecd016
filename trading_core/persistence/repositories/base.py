"""What every repository is built on: one connection inside one transaction, rows in and rows out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from sqlalchemy import Column, RowMapping, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql import Executable

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Row = Mapping[str, object]


class Repository:
    """Queries over one kind of record."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    def _insert(self, table: Table) -> sqlite.Insert | postgresql.Insert:
        """An INSERT that knows ON CONFLICT, which the two databases spell alike and standard SQL does not have."""
        return sqlite.insert(table) if self._connection.dialect.name == "sqlite" else postgresql.insert(table)

    async def _write(self, statement: Executable, rows: Row | Sequence[Row]) -> None:
        if rows:
            await self._connection.execute(statement, rows)

    async def _add(self, table: Table, row: Row, *key: Column[Any]) -> bool:
        """Insert unless a row with this key is there; True when it was new."""
        statement = self._insert(table).values(**row).on_conflict_do_nothing(index_elements=key).returning(key[0])
        return (await self._connection.execute(statement)).first() is not None

    async def _put(self, table: Table, rows: Sequence[Row]) -> None:
        """Insert, or replace the rows with the same primary key."""
        insert = self._insert(table)
        key = list(table.primary_key)
        changed = {column.name: insert.excluded[column.name] for column in table.columns if column not in set(key)}
        await self._write(insert.on_conflict_do_update(index_elements=key, set_=changed), rows)

    async def _one(self, statement: Executable) -> RowMapping | None:
        return (await self._connection.execute(statement)).mappings().first()

    async def _all(self, statement: Executable) -> Sequence[RowMapping]:
        return (await self._connection.execute(statement)).mappings().all()


def columns(record: DataclassInstance) -> dict[str, Any]:
    """A record's fields by name, nested ones left as they are."""
    return {item.name: getattr(record, item.name) for item in fields(record)}


def without(row: RowMapping, *names: str) -> dict[str, Any]:
    """A row less the columns that the record does not have."""
    return {name: value for name, value in row.items() if name not in names}
