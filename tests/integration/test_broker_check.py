"""`brokers check` over several venues at once: each trouble is one clear line, and the others are told of all the same."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from api.cli import app
from tests.venues.engine import Exchange
from tests.venues.faults import banned
from tests.venues.local import ACCOUNT, LocalVenue
from tests.venues.server import VenueServer, wall_clock_ms
from tests.venues.six import SIX


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    monkeypatch.setenv("ALGOTRENDY_HOME", str(home))
    monkeypatch.setenv("ALGOTRENDY_CREDENTIALS_KEY", base64.b64encode(b"k" * 32).decode())
    monkeypatch.setenv("COLUMNS", "160")
    return home


def algotrendy(*arguments: str, status: int = 0, answer: str = "") -> Result:
    result = CliRunner().invoke(app, list(arguments), input=answer)
    assert result.exit_code == status, result.output
    return result


@pytest.fixture
def servers() -> Iterator[dict[str, VenueServer]]:
    with ExitStack() as stack:
        yield {name: stack.enter_context(VenueServer(_funded(SIX[name]))) for name in ("binance", "kraken", "okx")}


def _funded(kind: LocalVenue) -> object:
    exchange = Exchange(kind.markets, wall_clock_ms, fees=kind.fees)
    exchange.deposit(ACCOUNT, kind.markets[0].quote, Decimal(1000))
    exchange.move(kind.symbol, Decimal(50_000))
    return kind.stand(exchange)


def added(servers: dict[str, VenueServer], name: str, venue: str, key: str, secret: str, passphrase: str = "") -> None:
    algotrendy("brokers", "add", name, "--venue", venue, "--url", servers[venue].base_url)
    options = ["--passphrase"] if passphrase else []
    algotrendy("credentials", "put", venue, name, *options, answer=f"{key}\n{secret}\n{passphrase}\n")


def test_each_trouble_is_one_line_and_spoils_no_other_account(servers: dict[str, VenueServer]) -> None:
    binance, kraken, okx = SIX["binance"].keys, SIX["kraken"].keys, SIX["okx"].keys
    reader = next(key for key in binance if not key.can_trade)
    treasurer = next(key for key in kraken if key.can_withdraw)
    added(servers, "well", "kraken", kraken[0].key, kraken[0].secret)
    added(servers, "rich", "kraken", treasurer.key, treasurer.secret)
    added(servers, "stranger", "binance", "nobody-7f3a", "hush-9c1e")
    added(servers, "reader", "binance", reader.key, reader.secret)
    added(servers, "silent", "okx", okx[0].key, okx[0].secret)  # its passphrase was forgotten
    algotrendy("brokers", "add", "keyless", "--venue", "bybit")
    told = algotrendy("brokers", "check", "--json", status=1).stdout
    found = {one["account"]: one for one in json.loads(told)}
    assert found["well"]["healthy"] is True
    assert found["well"]["balances"] == 1
    assert found["rich"]["healthy"] is True
    assert any("withdraw" in warning for warning in found["rich"]["warnings"])
    assert "Binance does not accept the key" in found["stranger"]["error"]
    assert "hush" not in told
    assert "nobody" not in told
    assert found["reader"]["permissions"]["can_trade"] is False
    assert any("trade" in warning for warning in found["reader"]["warnings"])
    assert "OKX needs a passphrase" in found["silent"]["unusable"]
    assert "no keys are stored for Bybit" in found["keyless"]["unusable"]
    shown = algotrendy("brokers", "check", status=1).stdout
    troubles = [line for line in shown.splitlines() if line.startswith(("stranger:", "silent:", "keyless:"))]
    assert len(troubles) == 3, shown


def test_a_ban_is_told_as_one_and_the_other_venue_answers(servers: dict[str, VenueServer]) -> None:
    key = SIX["binance"].keys[0]
    added(servers, "banned", "binance", key.key, key.secret)
    added(servers, "well", "kraken", SIX["kraken"].keys[0].key, SIX["kraken"].keys[0].secret)
    servers["binance"].faults.always(banned(), "balance", "open_orders", "permissions", "markets", "time")
    shown = algotrendy("brokers", "check", status=1).stdout
    (line,) = [line for line in shown.splitlines() if line.startswith("banned:")]
    assert "left alone" in line
    assert "well" in shown
    algotrendy("brokers", "check", "kraken")


@pytest.mark.parametrize("command", [["brokers", "check", "bnance"], ["brokers", "add", "x", "--venue", "bnance"]])
def test_an_unknown_venue_is_one_line_with_the_nearest_name(command: list[str], servers: dict[str, VenueServer]) -> None:
    added(servers, "well", "kraken", "k", "c2VjcmV0")
    refused = algotrendy(*command, status=2)
    assert refused.stderr.strip().count("\n") == 0
    assert "Did you mean binance?" in refused.stderr
