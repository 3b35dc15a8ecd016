"""SIGKILL at any time: every run ends once, nothing is sent twice, and whoever follows a run sees all of it."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections import Counter, defaultdict
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest

from graph.events import FINAL
from graph.folders import Folders
from graph.runs.orders import OrderTicket
from tests.integration.killed_desks import settings
from tests.integration.manned import Manned, manned
from tests.integration.worlds import trail
from trading_core.auth.agents import runner
from trading_core.domain.orders import Order, OrderState, Purpose
from trading_core.persistence.desk_records import StoredEvent
from trading_core.persistence.records import RunState

ROOT = Path(__file__).parents[2]
ORDERS = {
    "order-small": ("BTC/USDT", "600"),
    "order-yes": ("BTC/USDT", "2000"),
    "order-no": ("ETH/USDT", "2000"),
    "order-other": ("ETH/USDT", "500"),
}
CYCLES = {"cycle-one": (), "cycle-two": ("BTC/USDT", "ETH/USDT")}


async def _ask(here: Manned) -> None:
    """Two cycles and four orders."""
    for run_id in ("cycle-one", "order-yes", "order-small", "cycle-two", "order-no", "order-other"):
        if run_id in CYCLES:
            await here.runs.request_cycle(here.olga, here.account, run_id=run_id, symbols=CYCLES[run_id])
            continue
        symbol, notional = ORDERS[run_id]
        ticker = await here.system.feed.ticker(symbol, as_of=here.system.clock.now())
        assert ticker is not None
        wanted = {"symbol": symbol, "side": "buy", "notional": notional, "stop_price": ticker.last * 9 / 10}
        await here.runs.request_order(here.olga, here.account, OrderTicket.model_validate(wanted), run_id=run_id)


async def _settled(here: Manned) -> None:
    """What was written down and never arrived is known for absent only after a while: until then it may be on its way."""
    system, open_ones = here.system, {OrderState.SUBMITTING, OrderState.UNKNOWN}
    for _ in range(60):
        synced = await system.desk.sync(runner(here.account))
        if not open_ones & {order.state for order in synced.view.live_orders}:
            return
        await system.clock.sleep(0.5)


def _about(event: StoredEvent) -> tuple[str, object]:
    """An event of an order or an intent, and which."""
    order, intent = event.data.get("order"), event.data.get("intent")
    about = order.get("client_order_id") if isinstance(order, dict) else isinstance(intent, dict) and intent.get("intent_id")
    assert about, event
    return event.kind, about


async def _check(here: Manned) -> dict[str, Order]:
    await _settled(here)
    ids = Counter[str]()
    for run_id in (*CYCLES, *ORDERS):
        record = await here.record(run_id)
        assert record.state is RunState.DONE, (run_id, record.state, record.error)
        events = await here.events(run_id)
        assert [event.sequence for event in events] == list(range(1, len(events) + 1)), run_id
        assert [event.kind in FINAL for event in events] == [False] * (len(events) - 1) + [True], run_id
        told = Counter(_about(event) for event in events if event.kind in ("gate_decided", "approval_requested", "order_sent"))
        assert set(told.values()) <= {1}, told
        kept = await trail(here.system, run_id)
        sent = [one.order for one in kept.orders if one.order.purpose is not Purpose.STOP]
        assert len({order.intent_id for order in sent}) == len(sent), "one intent, one order"
        if run_id in ORDERS:
            assert [one.intent.purpose for one in kept.intents].count(Purpose.ENTRY) == 1, run_id
            assert len(sent) == (0 if run_id == "order-no" else 1), run_id
        for order in sent:
            assert order.state in (OrderState.FILLED, OrderState.REFUSED), "refused: it was written down and never arrived"
        ids.update(one.order.client_order_id for one in kept.orders)
        assert len(kept.decisions) == len({(one.agent, one.subject) for one in kept.decisions})
    assert all(count == 1 for count in ids.values())
    assert await here.system.desk.agrees(runner(here.account))
    async with here.database.reading() as uow:
        return {order.client_order_id: order for order in await uow.orders.all(here.account)}


def _agree(orders: dict[str, Order], home: Path) -> None:
    """The exchange's own record: what it filled is what the ledger says, order by order."""
    filled: defaultdict[str, Decimal] = defaultdict(Decimal)
    with closing(sqlite3.connect(Folders.of(home, settings(), str(home / "desk.db")).paper)) as venue:
        for key, quantity in venue.execute("SELECT client_order_id, quantity FROM fills"):
            filled[key] += Decimal(quantity)
        known = [key for (key,) in venue.execute("SELECT client_order_id FROM orders")]
    assert set(known) <= orders.keys()
    assert len(set(known)) == len(known)
    assert {key: order.filled for key, order in orders.items() if order.filled} == dict(filled)


async def _survives(home: Path, seed: int, kills: int) -> None:
    async with manned(home, settings(), working=False) as here:
        await _ask(here)
    command = [sys.executable, "-m", "tests.integration.killed_desks", str(home), str(seed), str(kills)]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    told, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()[-3_000:] + told.decode()
    async with manned(home, settings(), holder="last", working=False) as here:
        orders = await _check(here)
    _agree(orders, home)


async def test_runs_of_a_desk_that_is_killed_again_and_again_all_end_once(tmp_path: Path) -> None:
    await _survives(tmp_path, seed=7, kills=3)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
async def test_runs_survive_many_kills(seed: int, tmp_path: Path) -> None:
    await _survives(tmp_path, seed, kills=10)
