"""`algotrendy db` on both databases: up, down, seed, check, and what each refuses."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from api.cli import app
from trading_core.persistence.migrate import newest

SECRET = "s3cret"  # noqa: S105 - of nobody


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    monkeypatch.setenv("ALGOTRENDY_HOME", str(home))
    monkeypatch.delenv("ALGOTRENDY_DATABASE", raising=False)
    return home


def algotrendy(*arguments: str, status: int = 0, answer: str | None = None) -> Result:
    result = CliRunner().invoke(app, list(arguments), input=answer)
    assert result.exit_code == status, result.output
    assert SECRET not in result.output
    return result


def test_a_database_goes_up_is_seeded_checked_and_goes_down(empty_location: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALGOTRENDY_DATABASE", empty_location)
    assert "from no tables to 0001" in algotrendy("db", "upgrade", "0001").stdout
    assert "0001, newest" in algotrendy("db", "current").stdout
    assert "`db upgrade` brings it there" in algotrendy("db", "check", status=1).stdout
    assert f"from 0001 to {newest()}" in algotrendy("db", "upgrade").stdout
    assert f"at {newest()} already" in algotrendy("db", "upgrade").stdout
    assert "holds session" in algotrendy("db", "seed").stdout
    assert "is not empty" in algotrendy("db", "seed", status=2).stderr
    told = json.loads(algotrendy("db", "check", "--json").stdout)
    assert told == {"holds": True, "revision": newest(), "newest": newest(), "drift": [], "damage": []}
    assert "Go on?" in algotrendy("db", "downgrade", "base", status=1, answer="n\n").output
    assert "none: every reference and page holds" in algotrendy("db", "check").stdout
    assert f"from {newest()} to no tables" in algotrendy("db", "downgrade", "base", "--yes").stdout
    assert "has no tables" in algotrendy("db", "downgrade", "base").stdout
    assert "no tables" in algotrendy("db", "check", status=1).stdout
    algotrendy("db", "seed")
    assert "from" in algotrendy("db", "downgrade", "0001", answer="y\n").stdout
    assert "cannot be brought to revision 'x'" in algotrendy("db", "downgrade", "x", "--yes", status=2).stderr


def test_the_seeded_session_is_found_and_proven_by_the_other_commands(home: Path) -> None:
    algotrendy("db", "seed")
    assert "is not empty" in algotrendy("db", "seed", status=2).stderr
    runs = json.loads(algotrendy("runs", "--json").stdout)
    assert "waiting" in json.dumps(runs)
    assert json.loads(algotrendy("verify", "--json").stdout)["holds"] is True
    assert f"{newest()}, the newest" in algotrendy("db", "check").stdout
    assert [path.name for path in home.glob("simulations/*/ledger.db")] == ["ledger.db"]


def test_damage_is_named_and_is_an_exit_status(home: Path) -> None:
    algotrendy("db", "seed")
    (ledger,) = home.glob("simulations/*/ledger.db")
    connection = sqlite3.connect(ledger)  # foreign keys are off here
    connection.execute("DELETE FROM snapshots")
    connection.execute("DELETE FROM sessions")
    connection.commit()
    connection.close()
    said = algotrendy("db", "check", status=1).stdout
    assert "row 1 of runs refers to a row of sessions that is not there" in said
    assert "drift     none" in said


@pytest.mark.parametrize("command", [["current"], ["check"], ["downgrade", "base", "--yes"]])
def test_looking_makes_no_database(home: Path, tmp_path: Path, command: list[str]) -> None:
    absent = tmp_path / "absent.db"
    assert "there is no database" in algotrendy("db", *command, "--database", str(absent), status=2).stderr
    assert "there is no database" in algotrendy("db", *command, status=2).stderr
    assert not absent.exists()
    assert not home.exists()


@pytest.mark.parametrize("command", [["current"], ["check"], ["seed"], ["upgrade"], ["downgrade", "base", "--yes"]])
def test_a_server_out_of_reach_is_one_line_without_the_password(command: list[str]) -> None:
    result = algotrendy("db", *command, "--database", f"postgresql://desk:{SECRET}@127.0.0.1:1/desk", status=2)
    assert result.stderr.startswith("error: the database 'postgresql://desk:***@127.0.0.1:1/desk' cannot be opened")
    assert len(result.stderr.splitlines()) == 1
