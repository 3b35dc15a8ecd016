"""What every repository is built on: one connection inside one transaction, rows in and rows out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import Column, RowMapping, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql import Executable

from trading_core.persistence.repositories.claims import Claims

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Row = Mapping[str, object]
_Insert = sqlite.Insert | postgresql.Insert


class Repository:
    """Queries over one kind of record."""

    def __init__(self, connection: AsyncConnection, claims: Claims | None = None) -> None:
        self._connection = connection
        self._claims = claims or Claims(connection)

    def _insert(self, table: Table) -> _Insert:
        """An INSERT that knows ON CONFLICT, which the two databases spell alike and standard SQL does not have."""
        return _insert(table, self._connection.dialect.name)

    async def _write(self, statement: Executable, rows: Row | Sequence[Row]) -> None:
        if rows:
            await self._connection.execute(statement, rows)

    async def _add(self, table: Table, row: Row, *key: Column[Any]) -> bool:
        """Insert unless a row with this key is there; True when it was new."""
        statement = _insert_new(table, self._connection.dialect.name, key)
        return (await self._connection.execute(statement, row)).rowcount == 1

    async def _put(self, table: Table, rows: Sequence[Row]) -> None:
        """Insert, or replace the rows with the same primary key."""
        await self._write(_replace(table, self._connection.dialect.name), rows)

    async def _one(self, statement: Executable, **parameters: object) -> RowMapping | None:
        return (await self._connection.execute(statement, parameters)).mappings().first()

    async def _all(self, statement: Executable, **parameters: object) -> Sequence[RowMapping]:
        return (await self._connection.execute(statement, parameters)).mappings().all()


# Building a statement costs more than running it: those that run many times in a run are built once.


def _insert(table: Table, dialect: str) -> _Insert:
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)


@cache
def _insert_new(table: Table, dialect: str, key: tuple[Column[Any], ...]) -> Executable:
    return _insert(table, dialect).on_conflict_do_nothing(index_elements=key)


@cache
def _replace(table: Table, dialect: str) -> Executable:
    insert = _insert(table, dialect)
    key = list(table.primary_key)
    changed = {column.name: insert.excluded[column.name] for column in table.columns if column not in set(key)}
    return insert.on_conflict_do_update(index_elements=key, set_=changed)


def columns(record: DataclassInstance) -> dict[str, Any]:
    """A record's fields by name, nested ones left as they are."""
    return {name: getattr(record, name) for name in _names(type(record))}


@cache
def _names(kind: type[DataclassInstance]) -> tuple[str, ...]:
    return tuple(item.name for item in fields(kind))


def without(row: RowMapping, *names: str) -> dict[str, Any]:
    """A row less the columns that the record does not have."""
    return {name: value for name, value in row.items() if name not in names}
