"""`algotrendy schedule`, `pause`, `unpause` and `pauses`, over the desk's database and without an API."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from api.cli import app
from api.commands.schedule import seconds
from graph.config import SessionConfig
from trading_core.domain.errors import InvalidInput
from trading_core.domain.portfolio import Portfolio
from trading_core.persistence.records import RunKind, RunRecord, SessionRecord
from trading_core.persistence.session import Database

Algotrendy = Callable[..., str]


@pytest.fixture
def algotrendy(tmp_path: Path, sqlite_copy: Path, monkeypatch: pytest.MonkeyPatch) -> Algotrendy:
    """The command, at a desk whose account `practice` has run once."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ALGOTRENDY_HOME", "home")
    monkeypatch.delenv("ALGOTRENDY_DATABASE", raising=False)
    monkeypatch.setattr("getpass.getuser", lambda: "olga")
    monkeypatch.setenv("COLUMNS", "150")
    (tmp_path / "home" / "desk").mkdir(parents=True)
    ledger = sqlite_copy.rename(tmp_path / "home" / "desk" / "ledger.db")
    asyncio.run(_open(str(ledger)))

    def call(*arguments: str, status: int = 0) -> str:
        result = CliRunner().invoke(app, list(arguments))
        assert result.exit_code == status, result.output
        return result.output

    return call


async def _open(ledger: str) -> None:
    config, now = SessionConfig(symbols=("BTC/USDT", "ETH/USDT")), datetime.now(UTC)
    async with await Database.open(ledger) as database, database.transaction() as uow:
        await uow.portfolios.open_account(Portfolio.opened("practice", "USDT", config.deposit), "paper", now)
        await uow.sessions.add(SessionRecord(config.session_id, config.stored(), now))
        await uow.runs.start(RunRecord("first", "practice", RunKind.CYCLE, now, now, session_id=config.session_id))


def test_a_schedule_from_its_making_to_its_end(algotrendy: Algotrendy) -> None:
    told = algotrendy(
        "schedule", "add", "mornings", "--cron", "30 8 * * 1-5", "--timezone", "Europe/Berlin", "--symbols", "BTC/USDT",
        "--misfire", "catch_up_once", "--overlap", "queue", "--most-tokens", "1000", "--most-cost", "2.50", "--most-orders", "4",
    )  # fmt: skip
    assert "on practice: 30 8 * * 1-5 Europe/Berlin, next at" in told
    shown = json.loads(algotrendy("schedule", "show", "mornings", "--json"))
    assert (shown["owner"], shown["budget"]) == ("olga", {"tokens": 1000, "cost": "2.5", "orders": 4})
    assert "a tick would run" in algotrendy("schedule", "show", shown["id"])
    assert "every 15m" in algotrendy(
        "schedule", "change", "mornings", "--every", "15m", "--rename", "quarters", "--symbols", "all", "--most-cost", "none"
    )
    (after,) = json.loads(algotrendy("schedule", "list", "--json"))
    assert (after["name"], after["cron"], after["symbols"], after["version"]) == ("quarters", None, [], 2)
    assert (after["budget"], after["misfire"]) == ({"tokens": 1000, "cost": None, "orders": 4}, "catch_up_once")
    assert len(json.loads(algotrendy("schedule", "next", "quarters", "-n", "3", "--json"))) == 3
    algotrendy("schedule", "pause", "quarters", "--reason", "lunch")
    assert "skips: paused" in algotrendy("schedule", "list")
    assert "schedule" in algotrendy("pauses")
    algotrendy("schedule", "resume", "quarters")
    assert "is queued" in algotrendy("schedule", "run", "quarters")
    assert "waits for its turn" not in algotrendy("schedule", "next", "quarters")
    assert "removed" in algotrendy("schedule", "remove", "quarters")
    assert "no schedules" in algotrendy("schedule", "list")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--every", "3s"), "interval of 3 s"),
        (("--every", "soon"), "'soon' is no interval"),
        (("--cron", "x"), "five fields"),
        ((), "either a cron"),
        (("--every", "1h", "--timezone", "X"), "no time zone"),
        (("--every", "1h", "--symbols", "SOL/USDT"), "does not trade SOL/USDT"),
        (("--every", "1h", "--most-tokens", "many"), "--most-tokens is 'many'"),
        (("--every", "1h", "--most-cost", "0"), "budget of 0 cost"),
        (("--every", "1h", "--account", "nobody"), "no account 'nobody'"),
    ],
)
def test_what_cannot_be_kept_is_refused_in_one_line(algotrendy: Algotrendy, arguments: tuple[str, ...], says: str) -> None:
    assert says in algotrendy("schedule", "add", "bad", *arguments, status=2)


def test_pausing_and_lifting(algotrendy: Algotrendy) -> None:
    algotrendy("schedule", "add", "hourly", "--every", "1h")
    algotrendy("pause", "symbol", "BTC/USDT", "--reason", "thin")
    algotrendy("pause", "agent", "signal", "--reason", "odd")
    algotrendy("pause", "schedule", "hourly", "--reason", "lunch")
    algotrendy("pause", "everything", "--reason", "fire")
    found = json.loads(algotrendy("pauses", "--json"))
    assert [each["kind"] for each in found] == ["agent", "everything", "schedule", "symbol"]
    assert "paused by olga: fire" in algotrendy("schedule", "run", "hourly", status=2)
    for what in (("symbol", "BTC/USDT"), ("agent", "signal"), ("schedule", "hourly"), ("everything",)):
        algotrendy("unpause", *what)
    assert "Nothing is paused" in algotrendy("pauses")
    assert "is not paused" in algotrendy("unpause", "everything", status=2)
    assert "no agent is called" in algotrendy("pause", "agent", "nobody", "--reason", "x", status=2)


@pytest.mark.parametrize(("text", "found"), [("30s", 30), ("15m", 900), ("4h", 14_400), ("1d", 86_400), ("90", 90)])
def test_intervals_as_people_write_them(text: str, found: int) -> None:
    assert seconds(text) == found


@pytest.mark.parametrize("text", ["", "m", "-5m", "1.5h", "5y", "1h30m"])
def test_what_is_no_interval(text: str) -> None:
    with pytest.raises(InvalidInput, match="no interval"):
        seconds(text)
