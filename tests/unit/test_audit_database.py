"""The trail in a database: in the change's own transaction, one chain for all writers, closed to every later change."""

# ruff: noqa: S608  # the statements of somebody who writes past the desk

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from sqlalchemy import Connection, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from trading_core.audit.chain import GENESIS, AuditFault, FaultKind
from trading_core.audit.entry import AuditAction, AuditEntry, SubjectKind
from trading_core.audit.export import COLUMNS, csv_heading, csv_line, json_line
from trading_core.audit.verify import AuditVerdict, verify_audit
from trading_core.auth.permissions import operator
from trading_core.domain.errors import InvalidInput, LedgerError
from trading_core.persistence.engines import create_engine, parse_location
from trading_core.persistence.migrate import downgrade, upgrade
from trading_core.persistence.repositories import audit as repository
from trading_core.persistence.repositories.audit import AuditFilter
from trading_core.persistence.session import Database

AT = datetime(2025, 3, 1, 12, tzinfo=UTC)
ENTRY = AuditEntry(AT, "anna", AuditAction.RISK_HALTED, SubjectKind.ACCOUNT, "paper", {"state": "active"}, {"state": "halted"})
TEXTS = tuple(name for name in COLUMNS if name != "sequence")


@pytest.fixture
async def database(location: str) -> AsyncIterator[Database]:
    async with await Database.open(location) as database:
        yield database


async def fill(database: Database, count: int) -> None:
    async with database.transaction() as uow:
        for number in range(count):
            entry = replace(
                ENTRY, at=AT + timedelta(minutes=number), actor=("anna", "bob")[number % 2], correlation_id=f"r{number}"
            )
            await uow.audit.append(entry)


async def verified(database: Database, anchor: str | None = None) -> tuple[AuditVerdict, list[tuple[FaultKind, int, int]]]:
    found: list[AuditFault] = []
    verdict = await verify_audit(operator("anna"), database, found.append, anchor=anchor)
    assert verdict.faults == len(found)
    assert verdict.first == (found[0] if found else None)
    return verdict, [(fault.kind, fault.first, fault.last) for fault in found]


@asynccontextmanager
async def outside(location: str) -> AsyncIterator[AsyncConnection]:
    """A connection of somebody who writes past the desk."""
    engine = create_engine(parse_location(location), migrating=True)
    try:
        async with engine.begin() as connection:
            yield connection
    finally:
        await engine.dispose()


@asynccontextmanager
async def owner(location: str) -> AsyncIterator[AsyncConnection]:
    """A connection of somebody who owns the database and puts its triggers out of action."""
    async with outside(location) as connection:
        if connection.dialect.name == "postgresql":
            for table in ("audit_log", "audit_head"):
                await connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        else:
            found = await connection.exec_driver_sql(
                "SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'audit%'"
            )
            for (name,) in found.all():
                await connection.exec_driver_sql(f"DROP TRIGGER {name}")
        yield connection


async def test_an_entry_is_there_if_and_only_if_its_change_is(database: Database) -> None:
    async def fail() -> None:
        async with database.transaction() as uow:
            await uow.audit.append(ENTRY)
            await uow.audit.append(replace(ENTRY, at=AT.replace(tzinfo=None)))

    with pytest.raises(InvalidInput, match="no time zone"):
        await fail()
    await fill(database, 2)
    async with database.transaction() as uow:
        row = await uow.audit.append(ENTRY)
    assert (row.sequence, row.before, row.after) == (3, '{"state":"active"}', '{"state":"halted"}')
    async with database.reading() as uow:
        assert (await uow.audit.newest(1)) == (row,)
    verdict, found = await verified(database)
    assert (verdict.rows, verdict.holds, found) == (3, True, [])
    assert verdict.head is not None
    assert verdict.head.hash == row.hash


async def test_an_empty_trail_holds(database: Database) -> None:
    verdict, found = await verified(database, GENESIS)
    assert (verdict.rows, found) == (0, [])
    with pytest.raises(InvalidInput, match="is no hash"):
        await verified(database, "abc")


async def test_writers_at_the_same_time_make_one_chain_without_gaps(database: Database, location: str) -> None:
    async with await Database.open(location) as second:

        async def write(through: Database, name: str) -> None:
            for number in range(5):
                async with through.transaction() as uow:
                    await uow.audit.append(replace(ENTRY, actor=name, correlation_id=f"{number}a"))
                    await asyncio.sleep(0)
                    await uow.audit.append(replace(ENTRY, actor=name, correlation_id=f"{number}b"))

        await asyncio.gather(*(write(through, f"{number}") for number, through in enumerate((database, second) * 3)))
    verdict, found = await verified(database)
    assert (verdict.rows, found) == (60, [])
    async with database.reading() as uow:
        rows = [row async for row in uow.audit.walk()]
    for actor in "012345":  # nobody's order is lost
        assert [row.correlation_id for row in rows if row.actor == actor] == [f"{n}{part}" for n in range(5) for part in "ab"]


async def test_changes_that_fail_beside_others_leave_no_gap(database: Database) -> None:
    async def write(number: int) -> None:
        async with database.transaction() as uow:
            await uow.audit.append(replace(ENTRY, correlation_id=f"r{number}"))
            if number % 3 == 0:
                raise InvalidInput("refused after it was told")

    results = await asyncio.gather(*(write(number) for number in range(20)), return_exceptions=True)
    assert [number for number, result in enumerate(results) if result is not None] == [0, 3, 6, 9, 12, 15, 18]
    verdict, found = await verified(database)
    assert (verdict.rows, found) == (13, [])


async def test_an_append_is_two_statements_and_each_further_one_is_one(database: Database) -> None:
    statements: list[str] = []

    def note(_connection: Connection, _cursor: object, statement: str, *_rest: object) -> None:
        statements.append(statement.split()[0])

    async with database.transaction() as uow:
        sync = uow.audit._connection.sync_connection
        assert sync is not None
        event.listen(sync.engine, "before_cursor_execute", note)
        for _ in range(3):
            await uow.audit.append(ENTRY)
        event.remove(sync.engine, "before_cursor_execute", note)
    assert statements == ["SELECT", "INSERT", "INSERT", "INSERT"]


ROW = f"'2025', 'm', 'a', 'k', 's', NULL, NULL, '', '{'0' * 64}', '{'f' * 64}'"

FORBIDDEN = [
    "UPDATE audit_log SET actor = 'mallory' WHERE sequence = 2",
    "UPDATE audit_log SET actor = actor",
    "DELETE FROM audit_log WHERE sequence = 3",
    "DELETE FROM audit_log",
    f"INSERT INTO audit_log VALUES (4, {ROW})",  # follows nothing
    f"INSERT INTO audit_log VALUES (0, {ROW})",
    f"INSERT INTO audit_log VALUES (9, {ROW})",
    "INSERT INTO audit_log SELECT 4, at, actor, action, subject_kind, subject_id, before, after, '', prev_hash, hash"
    " FROM audit_log WHERE sequence = 3",
    "UPDATE audit_head SET sequence = 2",
    "UPDATE audit_head SET sequence = 4",
    f"UPDATE audit_head SET hash = '{'f' * 64}'",
    "UPDATE audit_head SET sequence = 1, hash = (SELECT hash FROM audit_log WHERE sequence = 1)",  # set back
    f"INSERT INTO audit_log SELECT 9, at, actor, action, subject_kind, subject_id, before, after, '', hash, '{'f' * 64}'"
    " FROM audit_log WHERE sequence = 3",  # leaves a gap
    "UPDATE audit_head SET id = 2, sequence = 4",
    "DELETE FROM audit_head",
    f"INSERT INTO audit_head VALUES (2, 0, '{'0' * 64}')",
]
OF_SQLITE = [
    f"INSERT OR REPLACE INTO audit_log VALUES (2, {ROW})",
    "UPDATE OR REPLACE audit_log SET sequence = 1 WHERE sequence = 2",
    f"INSERT OR REPLACE INTO audit_head VALUES (1, 0, '{'0' * 64}')",
    f"INSERT OR IGNORE INTO audit_log VALUES (2, {ROW})",
]
OF_POSTGRESQL = [
    "TRUNCATE audit_log",
    "TRUNCATE audit_head",
    f"INSERT INTO audit_log VALUES (3, {ROW}) ON CONFLICT (sequence) DO UPDATE SET actor = 'mallory'",
]


async def test_the_database_itself_refuses_every_change(database: Database, location: str) -> None:
    await fill(database, 3)
    async with database.reading() as uow:
        before = [row async for row in uow.audit.walk()]
    for statement in FORBIDDEN + (OF_POSTGRESQL if location.startswith("postgresql") else OF_SQLITE):
        with pytest.raises(DBAPIError, match=r"append-only|does not continue the chain"):
            async with outside(location) as connection:
                await connection.exec_driver_sql(statement)
    async with database.reading() as uow:
        assert [row async for row in uow.audit.walk()] == before
    assert (await verified(database))[1] == []


async def test_a_refused_write_is_an_error_of_the_ledger(database: Database) -> None:
    await fill(database, 1)
    with pytest.raises(LedgerError, match="append-only"):
        async with database.transaction() as uow:
            await uow.audit._connection.exec_driver_sql("DELETE FROM audit_log")


async def test_one_changed_byte_of_any_column_of_any_row_is_found_and_named(database: Database, location: str) -> None:
    await fill(database, 3)
    async with database.reading() as uow:
        rows = [row async for row in uow.audit.walk()]
    for row, column in product(rows, TEXTS):
        old = getattr(row, column)
        new = chr(ord(old[0]) ^ 1) + old[1:] if old else "x"
        async with owner(location) as connection:
            await connection.exec_driver_sql(f"UPDATE audit_log SET \"{column}\" = '{new}' WHERE sequence = {row.sequence}")
        assert (await verified(database))[1] == [(FaultKind.CHANGED, row.sequence, row.sequence)], column
        async with owner(location) as connection:
            await connection.exec_driver_sql(f"UPDATE audit_log SET \"{column}\" = '{old}' WHERE sequence = {row.sequence}")
    assert (await verified(database))[1] == []


async def test_bytes_that_are_no_text_are_named_too(tmp_path_factory: pytest.TempPathFactory) -> None:
    location = str(tmp_path_factory.mktemp("trail") / "desk.db")
    async with await Database.open(location) as database:
        await fill(database, 4)
        async with owner(location) as connection:
            for sequence, value in enumerate(("CAST(x'616e6eff' AS TEXT)", "CAST('bob' AS BLOB)", "x''"), 1):
                await connection.exec_driver_sql(f"UPDATE audit_log SET actor = {value} WHERE sequence = {sequence}")
            await connection.exec_driver_sql("UPDATE audit_log SET before = x'ff' WHERE sequence = 4")
        assert (await verified(database))[1] == [(FaultKind.CHANGED, number, number) for number in (1, 2, 3, 4)]
        async with database.reading() as uow:
            assert len(await uow.audit.newest(10)) == 4
            assert all(json.loads(json_line(row)) for row in await uow.audit.newest(10))


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("DELETE FROM audit_log WHERE sequence = 1", [(FaultKind.MISSING, 1, 1)]),
        ("DELETE FROM audit_log WHERE sequence IN (2, 3)", [(FaultKind.MISSING, 2, 3)]),
        ("DELETE FROM audit_log WHERE sequence > 3", [(FaultKind.MISSING, 4, 5)]),
        ("DELETE FROM audit_log", [(FaultKind.MISSING, 1, 5)]),
        ("UPDATE audit_log SET sequence = 7 WHERE sequence = 2", [
            (FaultKind.MISSING, 2, 2), (FaultKind.MISSING, 6, 6), (FaultKind.CHANGED, 7, 7), (FaultKind.INSERTED, 6, 7),
        ]),
        (f"INSERT INTO audit_log VALUES (6, {ROW})", [(FaultKind.CHANGED, 6, 6), (FaultKind.INSERTED, 6, 6)]),
        (f"INSERT INTO audit_log VALUES (-3, {ROW})", [(FaultKind.INSERTED, -3, -3)]),
        ("DELETE FROM audit_head", [(FaultKind.HEAD_GONE, 5, 5)]),
    ],
)  # fmt: skip
async def test_rows_removed_moved_or_put_in_are_named(
    database: Database, location: str, statement: str, expected: list[tuple[FaultKind, int, int]]
) -> None:
    await fill(database, 5)
    async with owner(location) as connection:
        await connection.exec_driver_sql(statement)
    verdict, found = await verified(database)
    assert found == expected
    assert not verdict.holds


async def test_an_end_cut_off_with_the_head_set_back_is_found_by_the_anchor(database: Database, location: str) -> None:
    await fill(database, 5)
    async with database.reading() as uow:
        rows = [row async for row in uow.audit.walk()]
    async with owner(location) as connection:
        await connection.exec_driver_sql("DELETE FROM audit_log WHERE sequence > 3")
        await connection.exec_driver_sql(f"UPDATE audit_head SET sequence = 3, hash = '{rows[2].hash}'")
    assert (await verified(database))[1] == []
    assert (await verified(database, rows[2].hash))[1] == []
    assert (await verified(database, rows[4].hash.upper()))[1] == [(FaultKind.ANCHOR_UNKNOWN, 3, 3)]


async def test_nothing_is_appended_to_a_trail_without_a_head(database: Database, location: str) -> None:
    async with owner(location) as connection:
        await connection.exec_driver_sql("DELETE FROM audit_head")
    with pytest.raises(LedgerError, match="head of the audit trail is gone"):
        await fill(database, 1)


async def test_rows_are_read_in_batches_and_filtered(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    await fill(database, 10)
    monkeypatch.setattr(repository, "BATCH", 3)

    async def walked(wanted: AuditFilter) -> list[int]:
        async with database.reading() as uow:
            rows = [row.sequence async for row in uow.audit.walk(wanted)]
            newest = [row.sequence for row in await uow.audit.newest(4, wanted)]
        assert newest == rows[::-1][:4]
        return rows

    assert await walked(AuditFilter()) == list(range(1, 11))
    assert await walked(AuditFilter(since=AT + timedelta(minutes=2), until=AT + timedelta(minutes=5))) == [3, 4, 5]
    assert await walked(AuditFilter(actor="bob")) == [2, 4, 6, 8, 10]
    assert await walked(AuditFilter(action="risk.halted", subject_id="paper", actor="anna")) == [1, 3, 5, 7, 9]
    assert await walked(AuditFilter(action="risk.resumed")) == []
    assert (await verified(database))[1] == []


async def test_a_reader_sees_one_state_while_the_trail_grows(database: Database) -> None:
    await fill(database, 3)
    async with database.reading() as uow:
        walk = uow.audit.walk()
        first = await anext(walk)
        await fill(database, 3)
        assert [first.sequence, *[row.sequence async for row in walk]] == [1, 2, 3]


async def triggers(location: str) -> set[str]:
    async with outside(location) as connection:
        if connection.dialect.name == "postgresql":
            query = "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal UNION ALL SELECT proname FROM pg_proc"
        else:
            query = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        return {name for (name,) in (await connection.exec_driver_sql(query)).all() if name.startswith("audit")}


async def test_the_migration_makes_the_triggers_and_takes_them_away(database: Database, location: str) -> None:
    await fill(database, 1)
    made = await triggers(location)
    assert len(made) == 7
    engine = create_engine(parse_location(location), migrating=True)
    await downgrade(engine, "0003")
    assert await triggers(location) == set()
    await upgrade(engine)
    await engine.dispose()
    assert await triggers(location) == made
    await fill(database, 1)
    assert (await verified(database))[0].rows == 1


async def test_exports_are_whole_and_harmless(database: Database) -> None:
    async with database.transaction() as uow:
        for actor in ("=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "＝1", 'with "quotes", and\nlines', "bob"):
            await uow.audit.append(replace(ENTRY, actor=actor, before=None))
    async with database.reading() as uow:
        rows = [row async for row in uow.audit.walk()]
    text = csv_heading() + "".join(csv_line(row) for row in rows)
    assert text.endswith("\r\n")
    heading, *records = csv.reader(io.StringIO(text, newline=""))
    assert heading == list(COLUMNS)
    actors = [record[2] for record in records]
    assert actors == ["'=cmd|' /C calc'!A0", "'+1", "'-1", "'@SUM(A1)", "'＝1", 'with "quotes", and\\nlines', "bob"]
    assert all(not cell.startswith(("=", "+", "-", "@")) for record in records for cell in record)
    lines = [json.loads(json_line(row)) for row in rows]
    assert [line["actor"] for line in lines] == [row.actor for row in rows]
    assert lines[0]["before"] is None
    assert "\n" not in json_line(rows[5])[:-1]
