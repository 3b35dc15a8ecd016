"""The tables of the desk's doors: what their lookups read, and what is left of their runs for code that does not know them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, event, text

from tests.unit.desk_rows import AT, LATER, one_of_each, open_account, run
from trading_core.persistence.checkup import check
from trading_core.persistence.engines import parse_location
from trading_core.persistence.migrate import downgrade, migrating, upgrade
from trading_core.persistence.records import RunKind, RunState
from trading_core.persistence.session import Database
from trading_core.persistence.unit_of_work import UnitOfWork

Call = Callable[[UnitOfWork], Awaitable[object]]
BEFORE = AT, "x"

# Each lookup, and the index that each table is read by. A word in front of a name tells two statements on one table apart.
LOOKUPS: dict[str, tuple[Call, set[str]]] = {
    "runs.page": (lambda uow: uow.runs.page(["a", "b"], limit=9, before=5), {"ix_runs_account_id_sequence"}),
    "runs.page, of a conversation": (
        lambda uow: uow.runs.page(["a"], limit=9, before=5, conversation="c"),
        {"ix_run_requests_conversation_id_requested_at"},
    ),
    "runs.in_states": (lambda uow: uow.runs.in_states("a", RunState.QUEUED), {"ix_runs_account_id_state"}),
    "run_requests.claim": (lambda uow: uow.run_requests.claim("a", "h", AT, LATER, 9), {"ix_runs_account_id_state"}),
    "run_requests.claimable": (lambda uow: uow.run_requests.claimable("a", AT, RunKind), {"ix_runs_account_id_state"}),
    "run_requests.answered": (
        lambda uow: uow.run_requests.answered("a", AT),
        {"ix_runs_account_id_state", "ix_intents_run_id"},
    ),
    "run_requests.of_conversation": (
        lambda uow: uow.run_requests.of_conversation("c", 9),
        {"ix_run_requests_conversation_id_requested_at"},
    ),
    "run_requests.open_of_schedule": (lambda uow: uow.run_requests.open_of_schedule("s"), {"ix_runs_account_id_state"}),
    "run_requests.used_by_schedule": (
        lambda uow: uow.run_requests.used_by_schedule("s", AT),
        {"ix_run_requests_schedule_id_requested_at", "ix_messages_run_id", "ix_orders_run_id"},
    ),
    "run_requests.used_by_agent": (
        lambda uow: uow.run_requests.used_by_agent("a", "risk", AT),
        {"ix_runs_account_id_started_at", "ix_messages_run_id", "ix_orders_run_id"},
    ),
    "events.of_run": (lambda uow: uow.events.of_run("r", 5, 9), set()),
    "events.after, everything": (lambda uow: uow.events.after(5, None, 9), set()),
    "events.after, one account": (lambda uow: uow.events.after(5, ["a"], 9), {"ix_run_events_account_id_position"}),
    "events.after, accounts": (lambda uow: uow.events.after(5, ["a", "b"], 9), {"ix_run_events_account_id_position"}),
    "conversations.page": (
        lambda uow: uow.conversations.page("o", limit=9, before=BEFORE),
        {"ix_conversations_owner_updated_at_id"},
    ),
    "conversations.messages": (lambda uow: uow.conversations.messages("c", after=5, limit=9), set()),
    "conversations.last_messages": (lambda uow: uow.conversations.last_messages("c", 9), set()),
    "proposals.page": (lambda uow: uow.proposals.page("o", limit=9, before=BEFORE), {"ix_proposals_owner_created_at_id"}),
    "proposals.of_conversation": (
        lambda uow: uow.proposals.of_conversation("c"),
        {"ix_proposals_conversation_id_created_at"},
    ),
    "proposals.expire": (lambda uow: uow.proposals.expire(AT), {"ix_proposals_state_expires_at"}),
    "schedules.all": (lambda uow: uow.schedules.all(["a"]), {"ix_schedules_account_id"}),
    "pauses.of_account": (lambda uow: uow.pauses.of_account("a"), set()),
    "agent_settings.of_account": (lambda uow: uow.agent_settings.of_account("a"), set()),
    "kept_answers.forget": (lambda uow: uow.kept_answers.forget(AT), {"ix_kept_answers_created_at"}),
}


@pytest.fixture(scope="module")
def empty(sqlite_template: Path) -> str:
    return str(sqlite_template)


@pytest.mark.parametrize("name", LOOKUPS)
async def test_a_lookup_reads_no_table_from_end_to_end(empty: str, name: str) -> None:
    call, indexes = LOOKUPS[name]
    async with await Database.open(empty) as database, database.transaction() as uow:
        with statements(database) as said:
            await call(uow)
        assert said
        plans = [
            str(step[3])
            for statement, parameters in said
            for step in await uow.sessions._connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        ]
    tables = [step for step in plans if step.startswith(("SCAN", "SEARCH")) and "anon_" not in step]
    assert tables
    assert all(step.startswith("SEARCH") for step in tables), plans
    assert {index for index in indexes if any(index in step for step in tables)} == indexes, plans


@contextmanager
def statements(database: Database) -> Iterator[list[tuple[str, tuple[object, ...]]]]:
    said: list[tuple[str, tuple[object, ...]]] = []

    def hear(_connection: Connection, _cursor: object, statement: str, parameters: tuple[object, ...], *_: object) -> None:
        said.append((statement, parameters))

    event.listen(database._engine.sync_engine, "before_cursor_execute", hear)
    try:
        yield said
    finally:
        event.remove(database._engine.sync_engine, "before_cursor_execute", hear)


@pytest.fixture
async def full(empty_location: str) -> str:
    """A database with a row in every new table, and a run in every new state and of the new kind."""
    async with await Database.open(empty_location) as database, database.transaction() as uow:
        await open_account(uow, "a")
        for name, kind in (("queued", RunKind.CYCLE), ("cancelled", RunKind.CONVERSATION), ("order", RunKind.ORDER)):
            await uow.runs.queue(run(name, kind=kind))
        await uow.runs.set_state("cancelled", RunState.CANCELLED, at=LATER)
        await uow.runs.begin("order", AT, AT)
        await one_of_each(uow, "a", "queued")
        await uow.kept_answers.begin("user:olga", "k", "h", AT)
        await uow.leases.take("desk:a", "h", AT, LATER)
    return empty_location


async def test_code_from_before_the_doors_can_read_their_runs(full: str) -> None:
    query = text("SELECT id, kind, state, error, ended_at IS NOT NULL FROM runs ORDER BY sequence")
    async with migrating(parse_location(full)) as engine:
        await downgrade(engine, "0008")
        async with engine.connect() as connection:
            found = [tuple(row) for row in await connection.execute(query)]
        assert found == [
            ("queued", "cycle", "failed", "The run was queued", True),
            ("cancelled", "conversation", "failed", "The run was cancelled", True),
            ("order", "conversation", "running", "", False),
        ]
        await upgrade(engine)
        assert (await check(engine)).holds
    async with await Database.open(full) as database, database.reading() as uow:
        assert [(record.id, why) for _, record, why in await uow.runs.page(["a"], limit=9)] == [
            ("order", None),
            ("cancelled", None),
            ("queued", None),
        ], "runs without a request are listed as those of the command line"
