"""`serve` as a process of its own: it starts, lets its first user in, works, stops when told, and goes on where it was."""

from __future__ import annotations

import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from api.cli import app
from graph.runs.leases import lease_of
from tests.integration.serve_process import LOGIN, WITHIN, Served
from tests.integration.serve_process import start as start_process
from trading_core.persistence.session import Database


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Any]:
    started: list[Served] = []

    def start(*arguments: str) -> Served:
        started.append(start_process(tmp_path / "home", *arguments))
        return started[-1]

    yield start
    for each in started:
        each.end()


class Door:
    """What a program does at the API."""

    def __init__(self, url: str, name: str, password: str) -> None:
        self._url = f"{url}/api/v1"
        answer = httpx.post(f"{self._url}/auth/login", json={"name": name, "password": password}, timeout=20)
        assert answer.status_code == 200, answer.text
        self.headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}

    def get(self, path: str) -> Any:
        answer = httpx.get(f"{self._url}{path}", headers=self.headers, timeout=20)
        assert answer.status_code == 200, answer.text
        return answer.json()


def runs_of(home: Path) -> list[tuple[str, str, str]]:
    """Ids, kinds and states of all runs, oldest first."""
    with closing(sqlite3.connect(f"file:{home / 'desk' / 'ledger.db'}?mode=ro", uri=True)) as ledger:
        return ledger.execute("SELECT id, kind, state FROM runs ORDER BY sequence").fetchall()


def until_over(home: Path, count: int) -> list[tuple[str, str, str]]:
    deadline = time.monotonic() + WITHIN
    while time.monotonic() < deadline:
        found = runs_of(home)
        if len(found) >= count and all(state in ("done", "waiting") for _, _, state in found):
            return found
        time.sleep(0.1)
    raise AssertionError(f"runs are not over: {runs_of(home)}")


def test_the_first_start_and_the_next_one(serving: Any, tmp_path: Path) -> None:
    home = tmp_path / "home"
    # Small enough that no order waits for an approval: the first cycle buys.
    small = ("--account", "20000")
    first = serving(*small)
    url = first.url()
    assert httpx.get(f"{url}/livez").status_code == 200
    assert httpx.get(f"{url}/readyz").status_code == 200
    assert "GENERATED" in first.text
    name, password = first.until(LOGIN).groups()
    assert "shown this once" in first.text

    (run,) = until_over(home, 1)
    assert run[0].startswith("start-practice-")
    door = Door(url, name, password)
    position, now = _when_held(door), door.get("/accounts/practice/market/ticker?symbol=SOL/USDT")["at"]
    bars = _bars(door, now)
    assert first.stop() == 0
    assert "Stopped." in first.text
    assert (home / "token-signing-key.pem").stat().st_mode & 0o777 == 0o600

    second = serving()
    url = second.url()
    assert "password" not in second.text
    again = Door(url, name, password)  # the tokens of the first are good for it, too
    again.headers = door.headers
    assert _held(again) == position
    assert _bars(again, now) == bars
    assert len(until_over(home, 2)) >= 2
    assert second.stop(signal.SIGINT) == 0


def _held(door: Door) -> dict[str, tuple[str, str]]:
    """What is held, and at what average cost."""
    rows = door.get("/accounts/practice/positions")["positions"]
    return {row["symbol"]: (row["quantity"], row["average_cost"]) for row in rows}


def _bars(door: Door, as_of: str) -> Any:
    """Minutes as they were known then: the same for every process."""
    told = door.get(f"/accounts/practice/market/bars?symbol=SOL/USDT&timeframe=1m&limit=50&as_of={as_of}")
    assert told["generated"] is True
    return told


def _when_held(door: Door) -> dict[str, tuple[str, str]]:
    deadline = time.monotonic() + WITHIN
    while time.monotonic() < deadline:
        if held := _held(door):
            return held
        time.sleep(0.2)
    raise AssertionError("the first cycle bought nothing")


def test_a_port_that_is_taken_is_told_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        found = subprocess.run(
            [sys.executable, "-m", "api.cli", "--home", str(tmp_path / "home"), "serve", "--port", str(taken.getsockname()[1])],
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            timeout=WITHIN,
            check=False,
        )
    assert found.returncode == 2
    assert found.stdout == ""
    assert len(found.stderr.splitlines()) == 1
    assert "another program listens there" in found.stderr
    assert not (tmp_path / "home").exists()


def test_an_order_waits_for_its_operator_and_then_trades(serving: Any, tmp_path: Path) -> None:
    desk = serving()
    name, password = desk.until(LOGIN).groups()
    asked = desk.until(re.compile(r"waits for your approval: .* approve (\w+)"))[1]
    result = CliRunner().invoke(app, ["--home", str(tmp_path / "home"), "approve", asked])
    assert result.exit_code == 0, result.output
    assert "goes on with the run" in result.output
    desk.until(re.compile("stop placed"))
    assert set(_held(Door(desk.url(), name, password))) == {"SOL/USDT"}
    assert desk.stop() == 0


def test_the_second_interrupt_ends_the_process_on_the_spot(serving: Any) -> None:
    doors = serving("--no-desk")
    url = doors.url()
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as client:
        client.sendall(b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")  # and never the rest
        time.sleep(0.5)
        doors.process.send_signal(signal.SIGINT)
        doors.until(re.compile("Stopping"))
        time.sleep(0.6)  # what comes sooner counts as one wish with the first
        assert doors.stop(signal.SIGINT) == 130
    assert "Stopped at once" in doors.text


def test_signals_of_one_moment_are_one_wish_to_stop(serving: Any) -> None:
    """As when a supervisor signals make and the server, and make hands on what it got."""
    doors = serving("--no-desk")
    doors.url()
    doors.process.send_signal(signal.SIGTERM)
    assert doors.stop(signal.SIGINT) == 0
    assert "Stopped at once" not in doors.text


def test_two_processes_do_not_run_one_account(serving: Any) -> None:
    first = serving("--no-schedule")
    first.url()
    second = serving("--no-schedule")
    assert second.ended() == 2
    assert "runs account 'practice'" in second.text
    assert first.process.poll() is None
    assert first.stop() == 0


def test_doors_alone_serve_the_ledger_of_another_process(serving: Any, tmp_path: Path) -> None:
    desk = serving("--no-schedule")
    desk.url()
    name, password = desk.until(LOGIN).groups()
    doors = serving("--no-desk")
    door = Door(doors.url(), name, password)
    assert door.get("/auth/me")["username"] == name
    assert "password" not in doors.text
    assert doors.stop() == 0
    assert desk.stop() == 0
    assert runs_of(tmp_path / "home") == []  # no schedule, no first cycle


async def test_who_loses_the_account_stops_at_once(serving: Any, tmp_path: Path) -> None:
    first = serving("--no-schedule")
    first.url()
    async with await Database.open(tmp_path / "home" / "desk" / "ledger.db") as ledger, ledger.transaction() as uow:
        now = datetime.now(UTC)
        assert await uow.leases.take(lease_of("practice"), "other", now + timedelta(days=1), now + timedelta(days=2))
    assert first.ended() == 1
    assert "runs account 'practice' no more" in first.text
