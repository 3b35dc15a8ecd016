"""The command line as a person uses it, on a generated market with the rules model."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from api.cli import app
from tests.model_server import ModelServer
from tests.rules_brain import rules_brain

SHORT = ["run", "--cycles", "2"]
ASKING = [*SHORT, "--limit", "approval_above_notional=100"]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    monkeypatch.setenv("ALGOTRENDY_HOME", str(home))
    monkeypatch.setenv("COLUMNS", "100")
    return home


def algotrendy(*arguments: str, status: int = 0) -> Result:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == status, result.output
    return result


def as_json(*arguments: str, status: int = 0) -> Any:
    return json.loads(algotrendy(*arguments, "--json", status=status).stdout)


def start(*arguments: str) -> subprocess.Popen[str]:
    """A process of its own, whose output is no terminal."""
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "api.cli", *arguments],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        # Tests that a shell runs in the background ignore interrupts, and would hand that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def after_the_second_cycle_began(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if "cycle 2 of" in line:
            return
    raise AssertionError(process.communicate()[1])


def test_run_alone_shows_the_whole_desk(home: Path) -> None:
    process = start("run")
    shown, told = process.communicate(timeout=120)
    assert (process.returncode, told) == (0, "")
    assert "\x1b" not in shown
    for part in ("GENERATED", "cut to fit", "approved", "stop placed", "stopped out", "hold", "exit"):
        assert part in shown
    assert "agree to the last digit" in shown
    assert max(len(line) for line in shown.splitlines() if not line.startswith("  algotrendy")) <= 100
    assert sorted(path.name for path in home.iterdir() if path.suffix != ".db-wal") == ["answers.db", "simulations"]


def test_the_same_command_gives_the_same_bytes(home: Path) -> None:
    first = algotrendy(*SHORT, "--json").stdout
    again = algotrendy(*SHORT, "--json").stdout
    assert first == again
    document = json.loads(first)
    assert document["market"]["generated"] is True
    assert document["report"]["balances_agree"] is True
    assert len(document["runs"]) == 2
    assert len(list((home / "simulations").iterdir())) == 1


def test_a_repeated_simulation_says_so(home: Path) -> None:
    assert "done again" not in algotrendy(*SHORT).stdout
    assert "done again" in algotrendy(*SHORT).stdout


def test_quiet_shows_the_end_only(home: Path) -> None:
    shown = algotrendy(*SHORT, "--quiet").stdout
    assert "cycle 1 of" not in shown
    assert "Result" in shown


def test_an_order_waits_is_approved_and_goes_out(home: Path) -> None:
    waiting = algotrendy(*ASKING, status=3).stdout
    intent = re.search(r"approve ([0-9a-f]{12})$", waiting, re.M)
    resume = re.search(r"resume (\S+)$", waiting, re.M)
    assert intent
    assert resume
    listed = as_json("runs")
    assert [(row["state"], row["run"]) for row in listed] == [("waiting", resume[1])]
    assert listed[0]["waits_for"][0].startswith(intent[1])
    algotrendy("resume", resume[1], status=3)  # nobody has answered yet
    algotrendy("approve", "", status=2)  # as of a variable that is not set: it names nothing
    assert "approved" in algotrendy("approve", intent[1], "--reason", "seen").stdout
    assert "already" in algotrendy("approve", listed[0]["waits_for"][0], status=2).stderr
    document = as_json("resume", resume[1], status=3)  # the second cycle has a question of its own
    assert [order["state"] for order in document["runs"][0]["orders"] if order["purpose"] == "entry"] == ["filled"]
    trail = as_json("show", resume[1])
    assert trail["intents"][0]["approval"]["reason"] == "seen"


def test_a_rejected_order_never_goes_out(home: Path) -> None:
    waiting = as_json(*ASKING, status=3)["waiting"]
    algotrendy("reject", waiting["intents"][0])
    document = as_json("resume", waiting["run"], status=3)
    assert document["runs"][0]["orders"] == []


def test_a_killed_session_goes_on_to_the_same_end(home: Path) -> None:
    whole = as_json("run", "--cycles", "4", "--home", str(home / "whole"))
    process = start("run", "--cycles", "4")
    after_the_second_cycle_began(process)
    process.kill()
    process.communicate()
    resumed = as_json("resume", "last")
    assert resumed["report"]["cycles"] == 4
    assert resumed["portfolio"] == whole["portfolio"]
    assert [run["orders"] for run in resumed["runs"]] == [run["orders"] for run in whole["runs"]]


def test_an_interrupt_stops_cleanly_and_says_how_to_go_on(home: Path) -> None:
    process = start("run", "--cycles", "20")  # far from its end
    after_the_second_cycle_began(process)
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    run = re.search(r"resume (\S+)`", told)
    assert run
    assert "Traceback" not in told
    assert as_json("resume", run[1])["report"]["cycles"] == 20


def test_a_session_in_use_is_not_removed(home: Path) -> None:
    process = start("run", "--cycles", "12")
    try:
        after_the_second_cycle_began(process)
        process.send_signal(signal.SIGSTOP)  # it is in use for as long as this takes
        refused = algotrendy("run", "--cycles", "12", status=2)
        assert refused.stderr.count("\n") == 1
        assert "process" in refused.stderr
    finally:
        process.kill()
        process.communicate()


def test_show_tells_the_whole_trail(home: Path) -> None:
    first = as_json(*SHORT)["runs"][0]["run"]
    shown = algotrendy("show", first).stdout
    for part in ("Snapshot", "market_analysis BTC", "grounded", "get_indicators", "order_cap", "fill t-000001", "Portfolio"):
        assert part in shown
    trail = as_json("show", first)
    assert {decision["agent"] for decision in trail["decisions"]} == {"market_analysis", "signal", "risk", "execution"}
    ambiguous = algotrendy("show", first[:12], status=2).stderr
    assert "2 runs" in ambiguous


def test_limits_say_where_they_come_from(home: Path) -> None:
    rows = {row["name"]: row for row in as_json("limits", "--limit", "max_position=0.1")}
    assert (rows["max_position"]["value"], rows["max_position"]["source"]) == ("0.1", "override")
    assert rows["max_exposure"]["source"] == "default"
    assert all(row["description"] for row in rows.values())


def test_a_strategy_is_kept_version_by_version(home: Path) -> None:
    for overrides in (["--symbols", "BTC/USDT"], ["--symbols", "BTC/USDT"], ["--symbols", "BTC/USDT,ETH/USDT"]):
        as_json("run", "--strategy", "trend", "--cycles", "1", *overrides)
    (newest,) = as_json("strategies")
    assert (newest["name"], newest["version"], newest["config"]["symbols"]) == ("trend", 1, ["BTC/USDT", "ETH/USDT"])
    assert as_json("strategies", "another") == []


def test_graph_draws_what_runs(home: Path) -> None:
    drawn = algotrendy("graph").stdout
    assert "gate --> approval" in drawn
    assert not home.exists()


def test_doctor_finds_what_is_wrong(home: Path, tmp_path: Path) -> None:
    assert "✗" not in algotrendy("doctor").stdout
    assert not home.exists()
    assert "✗" in algotrendy("doctor", "--data", str(tmp_path / "none"), status=1).stdout
    assert "127.0.0.1:9" in algotrendy("doctor", "--model", "openai:x", "--base-url", "http://127.0.0.1:9/v1", status=1).stdout
    algotrendy(*SHORT, "--quiet")
    ledger = next((home / "simulations").iterdir()) / "ledger.db"
    ledger.write_bytes(b"no database")
    assert str(ledger.parent.name) in algotrendy("doctor", status=1).stdout.replace("\n", "")


def test_version_names_the_program() -> None:
    assert re.fullmatch(r"algotrendy \d+\.\d+\.\d+\S*\n", algotrendy("--version").stdout)


def test_a_folder_of_recorded_bars_runs(home: Path, shared_data: Path) -> None:
    document = as_json(
        "run", "--market", "history", "--data", str(shared_data / "ohlcv"), "--from", "2024-01-10", "--cycles", "2"
    )
    assert document["market"]["generated"] is False
    assert document["report"]["start"] == "2024-01-10T00:00:00Z"


def test_another_model_is_asked_over_http(home: Path) -> None:
    with ModelServer(brain=rules_brain) as server:
        asked = ["--model", "openai:any", "--base-url", server.base_url]
        assert "answers" in algotrendy("doctor", *asked).stdout
        assert f"openai:any at {server.base_url}" in algotrendy("run", "--cycles", "1", *asked).stdout
        assert len(server.requests) >= 6
    trail = as_json("show", "last")
    assert {decision["outcome"] for decision in trail["decisions"]} == {"answered"}


def test_a_home_that_is_no_folder_is_told_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    told = algotrendy("--home", str(tmp_path / "file" / "home"), *SHORT, status=2).stderr
    assert "Not a directory. Give --home a folder that you may write to" in told
