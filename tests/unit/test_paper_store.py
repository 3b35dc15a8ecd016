"""The paper exchange outlives the process that runs it."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from tests.unit.feeds import bar, flat
from tests.unit.paper_exchange import BTC, Exchange, at, exchange, request
from trading_core.brokers.paper.store import PaperStore
from trading_core.domain.errors import AmbiguousOutcome, ConfigurationError, OrderRefused
from trading_core.domain.money import Money
from trading_core.domain.orders import OrderState, OrderType, Side

ROOT = Path(__file__).parents[2]
BARS = [flat(0, volume="100"), flat(1, volume="50"), bar(2, "100", "110", "92", "101", "70"), *(flat(i) for i in range(3, 9))]


async def _first_half(x: Exchange) -> None:
    await x.broker.place(request("big", quantity="30"))
    x.go(1.5)
    await x.broker.place(request("stop", Side.SELL, OrderType.STOP, "5", stop="95"))
    await x.broker.place(request("bid", kind=OrderType.LIMIT, quantity="2", limit="93"))
    await x.broker.place(request("gone", kind=OrderType.LIMIT, quantity="2", limit="50"))
    await x.broker.cancel("gone", BTC)


async def _second_half(x: Exchange) -> tuple[object, ...]:
    x.go(6)
    reports = [await x.report(order_id) for order_id in ("big", "stop", "bid", "gone")]
    return await x.fills(), await x.broker.balances(), reports, await x.broker.place(request("next"))


async def test_a_reopened_account_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    async with exchange(BARS) as x:
        await _first_half(x)
        expected = await _second_half(x)
    path = tmp_path / "paper.db"
    async with exchange(BARS, path=path) as x:
        await _first_half(x)
    async with exchange(BARS, path=path, start=1.5) as x:
        assert await _second_half(x) == expected


_CHILD = """
import asyncio, sys
from pathlib import Path
from tests.unit.paper_exchange import exchange
from tests.unit.test_paper_store import BARS, _first_half

async def main():
    async with exchange(BARS, path=Path(sys.argv[1])) as x:
        await _first_half(x)
        print("acknowledged", flush=True)
        x.go(3.2)
        await x.fills()
        print("matched", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.parametrize("killed_after", ["acknowledged", "matched"])
async def test_a_killed_process_loses_nothing_and_books_nothing_twice(tmp_path: Path, killed_after: str) -> None:
    async with exchange(BARS) as x:
        await _first_half(x)
        expected = await _second_half(x)
    path = tmp_path / "paper.db"
    _kill_a_desk(path, killed_after)
    async with exchange(BARS, path=path, start=3.2) as x:
        assert await _second_half(x) == expected


def _kill_a_desk(path: Path, killed_after: str) -> None:
    """Run the first half in a process of its own and SIGKILL it once it has said `killed_after`."""
    command = [sys.executable, "-c", _CHILD, str(path)]
    environment = {**os.environ, "PYTHONPATH": "."}
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=environment) as child:
        assert child.stdout is not None
        said = [next(child.stdout).strip()]
        while said[-1] != killed_after:
            said.append(next(child.stdout).strip())
        child.send_signal(signal.SIGKILL)


async def test_fills_and_the_progress_that_made_them_are_stored_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "paper.db"
    async with exchange(BARS, path=path) as x:
        await x.broker.place(request("a", quantity="30"))
        x.go(1.5)
        with monkeypatch.context() as broken:
            # Fails in the middle of the transaction, after the account and the orders were written.
            broken.setattr("trading_core.brokers.paper.store._fill_row", _disk_full)
            with pytest.raises(AmbiguousOutcome):
                await x.broker.cancel("a", BTC)
        assert [f.trade_id for f in await x.fills()] == ["t-000001"]
        assert (await x.broker.balances())["BTC"].total == Decimal("9.98")


def _disk_full(*_: object) -> tuple[object, ...]:
    raise sqlite3.OperationalError("disk is full")


async def test_a_used_id_stays_used(tmp_path: Path) -> None:
    path = tmp_path / "paper.db"
    async with exchange(BARS, path=path) as x:
        await x.broker.place(request("a"))
        x.go(2)
        assert (await x.report("a")).state is OrderState.FILLED
    async with exchange(BARS, path=path, start=2) as x:
        with pytest.raises(OrderRefused, match="used before"):
            await x.broker.place(request("a"))


async def test_nothing_is_written_when_nothing_happened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[object] = []
    async with exchange(BARS, path=tmp_path / "paper.db") as x:
        await x.broker.place(request("far", kind=OrderType.LIMIT, limit="10"))
        x.go(1.5)
        await x.broker.balances()
        monkeypatch.setattr(PaperStore, "save", lambda _, book: saved.append(book))
        for hour in range(2, 8):
            x.go(hour)
            await x.broker.balances()
            await x.broker.open_orders()
        assert saved == []


async def test_one_exchange_owns_its_file(tmp_path: Path) -> None:
    path = tmp_path / "paper.db"
    async with exchange(BARS, path=path):
        with pytest.raises(ConfigurationError, match="locked"):
            async with exchange(BARS, path=path):
                pass


async def test_another_account_deposit_or_an_earlier_clock_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "paper.db"
    async with exchange(BARS, path=path) as x:
        x.go(3)
        await x.broker.place(request("a"))
    with pytest.raises(ConfigurationError, match="deposit"):
        async with exchange(BARS, path=path, start=4, deposit=Money(Decimal(5), "USDT")):
            pass
    with pytest.raises(ConfigurationError, match="the clock says"):
        async with exchange(BARS, path=path, start=2):
            pass
    store = PaperStore(path)
    with pytest.raises(ConfigurationError, match="holds account 'paper-1'"):
        store.open(account_id="other", deposit=Money(Decimal(100_000), "USDT"), now=at(4))


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "paper.db"
    path.write_text("not a database " * 100)
    with pytest.raises(ConfigurationError, match="cannot be opened"):
        async with exchange(BARS, path=path):
            pass
