"""An operator at the command line: stopping a desk, also one that another process runs, and proving what it did."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from api.cli import app
from graph.events import RunEvent
from tests.integration.worlds import ENTRY, opened, trail
from trading_core.persistence.records import RunState

WHY = ["--reason", "the news is bad"]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    monkeypatch.setenv("ALGOTRENDY_HOME", str(home))
    monkeypatch.setenv("COLUMNS", "120")
    return home


@pytest.fixture(scope="module")
def six_cycles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which a session has run six cycles, for tests to take copies of."""
    home = tmp_path_factory.mktemp("six") / "home"
    algotrendy("--home", str(home), "run", "--cycles", "6", "--quiet")
    return home


@pytest.fixture
def traded(six_cycles: Path, home: Path) -> Path:
    """`home`, after six cycles."""
    return Path(shutil.copytree(six_cycles, home))


def algotrendy(*arguments: str, status: int = 0) -> Result:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == status, result.output
    return result


def as_json(*arguments: str, status: int = 0) -> Any:
    return json.loads(algotrendy(*arguments, "--json", status=status).stdout)


def ledger(home: Path) -> Path:
    (found,) = (home / "simulations").glob("*/ledger.db")
    return found


def test_a_desk_is_halted_reduced_and_resumed_and_every_step_is_kept(home: Path) -> None:
    algotrendy("run", "--cycles", "2", "--quiet")
    assert as_json("state")["state"] == "active"
    assert "halted (nothing trades" in algotrendy("halt", *WHY).stdout
    assert "reducing (only exits)" in algotrendy("reduce", *WHY).stdout
    assert "active" in algotrendy("resume-trading", "--reason", "it was wrong").stdout
    told = as_json("state")
    assert [(change["from"], change["to"]) for change in told["changes"]] == [
        ("active", "halted"),
        ("halted", "reducing"),
        ("reducing", "active"),
    ]
    assert (told["reason"], told["peak_equity"]) == ("it was wrong", told["equity"])
    shown = algotrendy("state").stdout
    for part in ("it was wrong", "the news is bad", "Changes, newest first"):
        assert part in shown


def test_no_reason_no_change_and_no_session_no_guess(home: Path) -> None:
    assert "there is no session in" in algotrendy("halt", *WHY, status=2).stderr
    algotrendy("run", "--cycles", "1", "--quiet")
    assert "needs a reason" in algotrendy("kill", "--reason", "  ", status=2).stderr
    assert "no session 'zz'" in algotrendy("halt", *WHY, "--session", "zz", status=2).stderr
    assert as_json("state")["changes"] == []


def test_a_session_is_chosen_by_the_beginning_of_its_id(home: Path) -> None:
    first = as_json("run", "--cycles", "1")["session"]
    algotrendy("run", "--cycles", "2", "--quiet")
    algotrendy("halt", *WHY, "--session", first[:6])
    assert as_json("state", "--session", first)["state"] == "halted"
    assert as_json("state", "--session", first[:6])["session"] == first


def test_the_kill_switch_reaches_a_session_that_another_process_runs(home: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "api.cli", "run", "--cycles", "500"],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "cycle 2 of" in line:
            break
    algotrendy("kill", *WHY)
    killed_in = last_run(home)
    deadline = time.monotonic() + 60
    while last_run(home) < killed_in + 5:
        assert process.poll() is None, "the session was over before it was killed"
        assert time.monotonic() < deadline, "the session did not go on"
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    told = as_json("state")
    assert (told["state"], told["reason"]) == ("halted", "the news is bad")
    assert {order["purpose"] for order in told["live_orders"]} <= {"stop"}
    with sqlite3.connect(ledger(home)) as connection:
        (entered,) = connection.execute(
            "SELECT count(*) FROM orders JOIN runs ON runs.id = orders.run_id "
            "WHERE runs.sequence > ? AND orders.purpose NOT IN ('stop', 'exit')",
            (killed_in,),
        ).fetchone()
    connection.close()
    assert entered == 0
    assert as_json("verify")["holds"] is True


def last_run(home: Path) -> int:
    """The number of the run that was started last."""
    with closing(sqlite3.connect(ledger(home))) as connection:
        (sequence,) = connection.execute("SELECT max(sequence) FROM runs").fetchone()
    return int(sequence)


def test_killing_with_stops_leaves_nothing_at_the_venue(traded: Path) -> None:
    assert {order["purpose"] for order in as_json("state")["live_orders"]} == {"stop"}
    assert "No live order had to be cancelled" in algotrendy("kill", *WHY).stdout
    shown = algotrendy("kill", *WHY, "--stops-too").stdout
    assert "protective stops are taken back too" in shown
    assert "cancelled" in shown
    assert as_json("state")["live_orders"] == []
    algotrendy("resume-trading", *WHY)
    algotrendy("reconcile")
    assert {order["purpose"] for order in as_json("state")["live_orders"]} == {"stop"}


def test_a_balance_that_was_changed_is_found_by_reconcile_and_verify(traded: Path) -> None:
    assert as_json("reconcile") == {"agrees": True, "rows": []}
    assert "agree to the last digit" in algotrendy("reconcile").stdout
    document = as_json("verify")
    assert (document["holds"], document["venue_not_compared"]) == (True, None)
    assert "✗" not in algotrendy("verify").stdout
    with sqlite3.connect(ledger(traded)) as connection:
        connection.execute("UPDATE balances SET amount = amount || '7' WHERE asset = 'USDT'")
    connection.close()
    rows = as_json("reconcile", status=1)["rows"]
    assert [(row["kind"], row["subject"]) for row in rows] == [("balance", "USDT")]
    assert "They differ" in algotrendy("reconcile", status=1).stdout
    document = as_json("verify", status=1)
    broken = {check["check"]: check["offences"] for check in document["checks"] if not check["holds"]}
    assert set(broken) == {"balances are what the fills made", "balances at the venue"}
    assert broken["balances are what the fills made"][0].startswith("USDT: ")
    assert "USDT: " in algotrendy("verify", status=1).stdout


def test_where_another_process_has_the_venue_that_is_said(traded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.operations.OBEYED_WITHIN", 0.3)
    with sqlite3.connect(ledger(traded).with_name("paper.db"), isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        document = as_json("verify")
        assert document["holds"] is True
        assert "cannot be" in document["venue_not_compared"]
        shown = algotrendy("kill", *WHY, "--stops-too", status=1).stdout
        assert "may still trade" in shown
        assert as_json("state")["state"] == "halted", "whatever became of the cancels"
    other.close()
    algotrendy("reconcile")
    assert as_json("state")["live_orders"] == [], "whoever reads the venue next does it"


def test_a_fill_far_from_its_price_is_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trading_core.execution.quality.SLIPPAGE_ALERT", -1)
    shown = algotrendy("run", "--cycles", "6").stdout
    assert "decided at" in shown


async def test_a_cycle_enters_nothing_while_ledger_and_venue_differ(tmp_path: Path) -> None:
    events: list[RunEvent] = []
    async with opened(tmp_path, events=events) as system:
        (path,) = (tmp_path / "simulations").glob("*/ledger.db")
        with sqlite3.connect(path) as connection:
            connection.execute("UPDATE balances SET amount = amount || '.5' WHERE asset = 'USDT'")
        connection.close()
        assert (await system.runner.run(ENTRY)).state is RunState.DONE
        kept = await trail(system, system.runner.run_id(ENTRY))
    told = [event.data["differs"] for event in events if event.kind == "venue_differs"]
    assert told == ["balance USDT: 100000.5, venue 100000"]
    assert kept.orders == ()
    assert [decision.reason_codes for item in kept.intents for decision in item.decisions] == [("trading_state",)]
