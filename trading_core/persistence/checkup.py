"""Is a database what this code takes it for: its revision, its tables, and whether what is in it holds together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, ForeignKeyConstraint, Table, and_, exists, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from trading_core.persistence.migrate import current, newest
from trading_core.persistence.schema import metadata

_BORN_FULL = frozenset({"audit_head"})  # a migration puts the first row of the chain here


@dataclass(frozen=True, slots=True)
class Checkup:
    """What was found.

    Attributes:
        revision: of the database; None without our tables, of which nothing else is checked then.
        newest: the revision that this code works with.
        drift: each way in which the tables differ from those of the code.
        damage: each thing in it that does not hold together.
    """

    revision: str | None
    newest: str
    drift: tuple[str, ...] = ()
    damage: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        return self.revision == self.newest and not self.drift and not self.damage


async def check(engine: AsyncEngine) -> Checkup:
    """Look at everything. It reads the whole database, changes nothing and keeps nobody from writing."""
    revision = await current(engine)
    if revision != newest():
        return Checkup(revision, newest())
    async with engine.connect() as connection:
        drift = await connection.run_sync(lambda sync: tuple(_drift(sync)))
        damage = await connection.run_sync(lambda sync: tuple(_damage(sync)))
    return Checkup(revision, newest(), drift, damage)


async def is_empty(engine: AsyncEngine) -> bool:
    """Whether no record was ever written to a database at the newest revision."""
    async with engine.connect() as connection:
        for table in metadata.sorted_tables:
            if table.name not in _BORN_FULL and (await connection.execute(select(table).limit(1))).first() is not None:
                return False
    return True


def _drift(connection: Connection) -> Iterator[str]:
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    for found in compare_metadata(context, metadata):
        for difference in found if isinstance(found, list) else [found]:
            yield " ".join(_named(part) for part in difference if part is not None)


def _named(part: object) -> str:
    """A part of one of Alembic's differences: a kind, or something with a name."""
    if isinstance(part, dict):
        return ""
    table = getattr(part, "table", None)
    name = getattr(part, "name", None) or part
    return f"{table.name}.{name}" if isinstance(table, Table) else str(name)


def _damage(connection: Connection) -> Iterator[str]:
    if connection.dialect.name == "sqlite":
        yield from _sqlite_damage(connection)
    else:
        yield from _postgresql_damage(connection)


def _sqlite_damage(connection: Connection) -> Iterator[str]:
    for (said,) in connection.exec_driver_sql("PRAGMA integrity_check"):
        if said != "ok":
            yield str(said)
    for child, row, parent, _ in connection.exec_driver_sql("PRAGMA foreign_key_check"):
        yield f"row {row} of {child} refers to a row of {parent} that is not there"


def _postgresql_damage(connection: Connection) -> Iterator[str]:
    """PostgreSQL keeps references itself, except where triggers were off (a restore, replication) or a constraint not valid."""
    for (name,) in connection.exec_driver_sql("SELECT conname FROM pg_constraint WHERE NOT convalidated"):
        yield f"the constraint {name} is not validated"
    invalid = "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid"
    for (name,) in connection.exec_driver_sql(invalid):
        yield f"the index {name} is not valid"
    for table in metadata.sorted_tables:
        for constraint in table.foreign_key_constraints:
            if bare := _bare_rows(connection, table, constraint):
                yield f"{bare} rows of {table.name} refer to a row of {constraint.referred_table.name} that is not there"


def _bare_rows(connection: Connection, table: Table, constraint: ForeignKeyConstraint) -> int:
    parent = constraint.referred_table.alias("parent")
    pairs = [(element.parent, parent.c[element.column.name]) for element in constraint.elements]
    there = exists().where(and_(*(theirs == mine for mine, theirs in pairs)))
    referring = and_(*(mine.is_not(None) for mine, _ in pairs))
    return int(connection.execute(select(func.count()).select_from(table).where(referring, ~there)).scalar_one())
