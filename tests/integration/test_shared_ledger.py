"""Every command with one ledger for all sessions, on a real PostgreSQL: what a file for each session does, a database does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner, Result

from api.cli import app
from api.home import DATABASE_VARIABLE, program
from graph.folders import Folders
from tests.integration.worlds import config

WHY = ["--reason", "the news is bad"]
CYCLES = ["--cycles", "2", "--quiet"]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    monkeypatch.setenv("ALGOTRENDY_HOME", str(home))
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.delenv(DATABASE_VARIABLE, raising=False)
    return home


@pytest.fixture
def shared(home: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The commands' database, told by the environment."""
    monkeypatch.setenv(DATABASE_VARIABLE, postgres_url)
    yield postgres_url
    assert not list(home.rglob("ledger.db")), "nothing of the ledger is in a file"
    assert not (home / "answers.db").exists()


def algotrendy(*arguments: str, status: int = 0) -> Result:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == status, result.output
    return result


def as_json(*arguments: str, status: int = 0) -> Any:
    return json.loads(algotrendy(*arguments, "--json", status=status).stdout)


def test_a_session_decides_the_same_in_a_file_and_in_a_shared_database(home: Path, postgres_url: str) -> None:
    alone, together = as_json("run", "--cycles", "6"), as_json("run", "--cycles", "6", "--database", postgres_url)
    for run in (*alone["runs"], *together["runs"]):
        assert run.pop("snapshot"), "it names the account, which is another one in a ledger that others share"
    assert alone == together
    assert as_json("show", "last", "--database", postgres_url)["run"]["account_id"].startswith("paper-")


def test_a_run_is_listed_shown_proven_and_controlled(shared: str) -> None:
    session = as_json("run", "--cycles", "6")["session"]
    runs = as_json("runs")
    assert [run["session"] for run in runs] == [session] * 6
    assert as_json("show", runs[2]["run"])["run"]["id"] == runs[2]["run"]
    assert as_json("verify")["holds"] is True
    assert as_json("verify")["venue_not_compared"] is None
    assert as_json("reconcile") == {"agrees": True, "rows": []}
    assert "halted" in algotrendy("halt", *WHY).stdout
    assert "active" in algotrendy("resume-trading", *WHY).stdout
    assert "halted" in algotrendy("kill", *WHY, "--stops-too").stdout
    told = as_json("state")
    assert (told["session"], told["state"], told["live_orders"]) == (session, "halted", [])
    assert as_json("audit", "verify")["holds"] is True


def test_sessions_of_one_database_have_accounts_of_their_own(shared: str) -> None:
    one = as_json("run", "--cycles", "6")["session"]
    other = as_json("run", "--cycles", "7", "--seed", "3")["session"]
    algotrendy("halt", *WHY, "--session", one)
    assert as_json("state", "--session", one)["state"] == "halted"
    assert as_json("state", "--session", other)["state"] == "active"
    assert as_json("state")["session"] == other, "the one that ran last"
    assert all(as_json("verify", "--session", each)["holds"] for each in (one, other))
    assert "begin with" in algotrendy("show", "", status=2).stderr


def test_development_data_is_a_session_like_any_other(shared: str) -> None:
    algotrendy("db", "seed")
    told = as_json("state")
    assert (told["state"], as_json("runs")[0]["state"]) == ("reducing", "waiting")
    document = as_json("verify")
    assert (document["holds"], document["venue_not_compared"]) == (True, None)


def test_a_simulation_run_again_replaces_its_own_rows_and_no_others(shared: str) -> None:
    other = as_json("run", "--cycles", "2", "--seed", "3")["session"]
    first = algotrendy("run", "--cycles", "6", "--json").stdout
    shown = algotrendy("run", "--cycles", "6")
    assert "The earlier simulation with these settings was removed" in shown.stdout
    assert as_json("show", "last")["run"]["session_id"] == json.loads(first)["session"]
    assert [run["session"] for run in as_json("runs")].count(other) == 2
    assert len(as_json("runs")) == 2 + 6
    assert as_json("verify")["holds"] is True


@pytest.mark.parametrize("verb", ["approve", "reject"])
def test_an_approval_waits_in_the_database_until_it_is_answered(shared: str, verb: str) -> None:
    limits = ["--limit", "approval_above_notional=100"]
    waiting = as_json("run", "--cycles", "12", *limits, status=3)["waiting"]
    assert as_json("runs")[0]["waits_for"] == waiting["intents"]
    algotrendy("resume", waiting["run"], "--quiet", status=3)
    for intent in waiting["intents"]:
        algotrendy(verb, intent[:12], "--reason", "told so")
    again = json.loads(CliRunner().invoke(app, ["resume", waiting["run"], "--json"]).stdout)
    run = next(run for run in again["runs"] if run["run"] == waiting["run"])
    assert run["state"] == "done"
    entries = [order for order in run["orders"] if order["purpose"] == "entry"]
    assert len(entries) == (len(waiting["intents"]) if verb == "approve" else 0)


def test_what_is_not_there_is_said_with_the_database_and_without_its_password(
    home: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = urlsplit(postgres_url)
    secret = parts._replace(netloc=f"{parts.username}:hush-hush@{parts.hostname}:{parts.port}").geturl()
    said = [
        algotrendy("runs", "--database", secret).output,
        algotrendy("show", "zz", "--database", secret, status=2).output,
        algotrendy("halt", *WHY, "--database", secret, status=2).output,
        algotrendy("run", *CYCLES, "--database", secret).output,
        algotrendy("run", "--cycles", "2", "--database", secret).output,
        program(home, secret),
    ]
    assert all("hush-hush" not in each for each in said)
    assert all(parts.path in each for each in said[:2])
    assert f"{DATABASE_VARIABLE}=" in said[4], "what to try next finds the database"
    monkeypatch.setenv(DATABASE_VARIABLE, secret)
    assert DATABASE_VARIABLE not in program(home, secret)


def test_a_database_that_is_not_there_is_refused_before_anything_is_written(home: Path) -> None:
    nowhere = "postgresql://desk:hush-hush@127.0.0.1:1/desk"
    result = algotrendy("run", *CYCLES, "--database", nowhere, status=2)
    assert "hush-hush" not in result.output
    assert not list(home.rglob("*.db"))


def test_each_database_has_a_folder_that_its_password_does_not_change(home: Path) -> None:
    settings, url = config(), "postgresql://desk{}@db.example:5432/{}"
    plain, secret, other = (Folders.of(home, settings, url.format(*each)) for each in (("", "a"), (":x", "a"), ("", "b")))
    assert plain.session == secret.session != other.session
    assert plain.account == f"paper-{settings.session_id}"
    assert Folders.of(home, settings).account == "paper"
    live = config(market="live", venue="binance", start=None, cycles=None, seed=0)
    assert Folders.of(home, live, url.format("", "a")).account == "paper"
