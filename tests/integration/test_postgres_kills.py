"""SIGKILL while a thousand orders are written at once, on both databases: what was acknowledged is there, and whole."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.order_writer import ACCOUNT, RUN, client_order_id
from tests.postgres_server import NoPostgres, Server
from trading_core.domain.intents import Verdict
from trading_core.domain.orders import OrderEvent, OrderState
from trading_core.persistence.checkup import check
from trading_core.persistence.engines import parse_location
from trading_core.persistence.migrate import migrating
from trading_core.persistence.session import Database

ORDERS, AT_ONCE = 1000, 50
ROOT = Path(__file__).parents[2]


@pytest.fixture
def durable() -> Iterator[Server]:
    """A server that waits for the disk, as in production."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            server = Server(Path(folder), durable=True)
            server.start()
        except NoPostgres as error:
            pytest.skip(str(error))
        yield server
        server.stop()


async def writer(location: str) -> Process:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.integration.order_writer", location, str(ORDERS), str(AT_ONCE)),
        stdout=PIPE,
        stderr=PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert child.stdout is not None
    ready = await child.stdout.readline()
    assert ready == b"ready\n", (await child.communicate())[1].decode()
    return child


async def acknowledged(child: Process, count: int) -> set[int]:
    assert child.stdout is not None
    return {int(await child.stdout.readline()) for _ in range(count)}


async def assert_whole(location: str, numbers: set[int]) -> None:
    """Every acknowledged order with all that was written with it, and of the others all of a transaction or nothing."""
    async with await Database.open(location) as database, database.reading() as uow:
        trail = await uow.runs.whole(RUN)
        live = await uow.orders.live(ACCOUNT)
    orders = {trailed.order.client_order_id: trailed for trailed in trail.orders}
    assert {client_order_id(number) for number in numbers} <= set(orders)
    assert len(orders) == len(trail.intents) == len(live)
    assert all(said.decisions[0].verdict is Verdict.APPROVED for said in trail.intents)
    assert all(orders[client_order_id(number)].order.state is OrderState.OPEN for number in numbers)
    for trailed in orders.values():
        accepted = [event.event for event in trailed.events] == [OrderEvent.ACCEPTED]
        assert (trailed.order.state is OrderState.OPEN) == accepted == (trailed.order.venue_order_id is not None)
    async with migrating(parse_location(location)) as engine:
        found = await check(engine)
    assert found.holds, found


@pytest.mark.parametrize("after", [1, 300])
async def test_a_killed_writer_loses_nothing_that_was_acknowledged(location: str, after: int) -> None:
    child = await writer(location)
    numbers = await acknowledged(child, after)
    child.send_signal(signal.SIGKILL)
    rest, _ = await child.communicate()
    numbers |= {int(line) for line in rest.splitlines()}
    assert after <= len(numbers) < ORDERS
    await assert_whole(location, numbers)


async def test_a_killed_server_loses_nothing_that_was_acknowledged(durable: Server) -> None:
    location = durable.url()
    for after in (1, 200):  # each time on what the last one left
        child = await writer(location)
        numbers = await acknowledged(child, after)
        durable.kill()
        rest, errors = await child.communicate()
        numbers |= {int(line) for line in rest.splitlines()}
        assert child.returncode == 1
        assert b"the database" in errors, errors.decode()
        durable.start()
        await assert_whole(location, numbers)
        async with await Database.open(location) as database, database.transaction() as uow:
            for table in ("order_events", "orders", "risk_decisions", "intents"):
                await uow.runs._connection.exec_driver_sql(f"DELETE FROM {table}")  # noqa: S608 - this file's own tables
