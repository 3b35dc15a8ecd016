"""`algotrendy credentials`, over a real database."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from api.cli import app
from trading_core.auth.agents import runner
from trading_core.domain.clock import SystemClock
from trading_core.persistence.session import Database
from trading_core.secrets.credentials import VenueCredentials, VenueKeys
from trading_core.secrets.sealing import KeyRing

API_KEY, SECRET, THIRD = "the-api-key-7f3a", "the-secret-9c1e", "the-passphrase-2b"
OLD, NEW = (base64.b64encode(bytes([number]) * 32).decode() for number in (1, 2))


@pytest.fixture(autouse=True, params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A migrated database of either kind, told to every command."""
    where = str(request.getfixturevalue("sqlite_copy" if request.param == "sqlite" else "postgres_url"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ALGOTRENDY_DATABASE", where)
    monkeypatch.setenv("ALGOTRENDY_CREDENTIALS_KEY", OLD)
    return where


def credentials(*arguments: str, answer: str = "", status: int = 0) -> Result:
    result = CliRunner().invoke(app, ["credentials", *arguments], input=answer)
    assert result.exit_code == status, result.output
    for secret in (API_KEY, SECRET, THIRD, OLD, NEW):
        assert secret not in result.output
    return result


def held(database: str, master: str = OLD) -> VenueKeys | None:
    """What the broker is given."""

    async def read() -> VenueKeys | None:
        keys = KeyRing(base64.b64decode(master))
        async with await Database.open(database) as opened:
            return await VenueCredentials(opened, keys, SystemClock()).get(runner("paper"), "okx", "paper")

    return asyncio.run(read())


def stored(*options: str, answer: str = f"{API_KEY}\n{SECRET}\n") -> Result:
    return credentials("put", "okx", "paper", *options, answer=answer)


def test_keys_go_in_are_listed_masked_used_by_the_broker_and_forgotten(database: str) -> None:
    assert stored("--passphrase", answer=f"{API_KEY}\n{SECRET}\n{THIRD}\n").stdout == "okx / paper: stored\n"
    (listed,) = json.loads(credentials("list", "--json").stdout)
    assert (listed["venue"], listed["label"]) == ("okx", "paper")
    shown = credentials("list").stdout
    assert "okx" in shown
    assert listed["key_id"] in shown
    keys = held(database)
    assert keys is not None
    assert keys.passphrase is not None
    assert [key.get_secret_value() for key in (keys.api_key, keys.secret, keys.passphrase)] == [API_KEY, SECRET, THIRD]
    assert "revoke them at the venue" in credentials("delete", "okx", "paper").stdout
    assert held(database) is None
    assert "none are stored" in credentials("delete", "okx", "paper", status=1).stderr


def test_a_master_key_is_followed_by_another(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stored()
    monkeypatch.setenv("ALGOTRENDY_CREDENTIALS_KEY", f"{NEW} {OLD}")
    assert credentials("rotate").stdout == "1 encrypted anew\n"
    assert credentials("rotate").stdout == "0 encrypted anew\n"
    keys = held(database, NEW)
    assert keys is not None
    assert keys.secret.get_secret_value() == SECRET


def test_a_row_under_a_key_that_is_gone_is_named_and_nothing_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    stored()
    before = credentials("list", "--json").stdout
    monkeypatch.setenv("ALGOTRENDY_CREDENTIALS_KEY", NEW)
    assert "'okx' / 'paper' is encrypted under the key" in credentials("rotate", status=2).stderr
    assert credentials("list", "--json").stdout == before


@pytest.mark.parametrize(
    ("answer", "said"),
    [("", "no api key was given"), (f"{API_KEY}\n", "no secret was given"), (f"{API_KEY}\n \n", "the secret is empty")],
)
def test_half_a_pair_of_keys_is_not_stored(answer: str, said: str) -> None:
    assert said in credentials("put", "okx", "paper", answer=answer, status=2).stderr
    assert json.loads(credentials("list", "--json").stdout) == []


def test_without_a_master_key_nothing_is_done_and_it_says_how_to_make_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ALGOTRENDY_CREDENTIALS_KEY")
    monkeypatch.setenv("ALGOTRENDY_DATABASE", str(tmp_path / "new.db"))
    assert "openssl rand -base64 32" in credentials("put", "okx", "paper", answer=f"{API_KEY}\n{SECRET}\n", status=2).stderr
    assert not (tmp_path / "new.db").exists()


def test_the_master_key_may_come_from_a_dotenv_file(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ALGOTRENDY_CREDENTIALS_KEY")
    (tmp_path / ".env").write_text(f"ALGOTRENDY_CREDENTIALS_KEY={OLD}\n")
    stored()
    assert held(database) is not None
