"""An account at a (local) venue from the command line: added, its keys stored, traded on, looked at, paid into."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from api.cli import app
from tests.venues.binance import LOCAL as BINANCE
from tests.venues.binance import BinanceVenue
from tests.venues.engine import Exchange
from tests.venues.local import ACCOUNT
from tests.venues.past import breakout, give_past
from tests.venues.server import Key, VenueServer, wall_clock_ms

PRICE = Decimal(50_000)
KEY = Key("key-7f3a", "hush-9c1e", ACCOUNT)
RUN = ["run", "--market", "live", "--broker", "binance-main", "--symbols", "BTC/USDT", "--timeframe", "1d", "--channels", "none"]


@pytest.fixture
def exchange() -> Exchange:
    """A venue with a past, 100,000 USDT and a little of a coin that the desk does not trade."""
    made = Exchange(BINANCE.markets, wall_clock_ms, fees=BINANCE.fees)
    made.deposit(ACCOUNT, "USDT", Decimal(100_000))
    made.deposit(ACCOUNT, "DOGE", Decimal("12.5"))
    give_past(made, "BTC/USDT", breakout(PRICE))
    made.move("BTC/USDT", PRICE)
    return made


@pytest.fixture
def server(exchange: Exchange) -> Iterator[VenueServer]:
    with VenueServer(BinanceVenue(exchange, [KEY])) as running:
        yield running


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    monkeypatch.setenv("ALGOTRENDY_HOME", str(home))
    monkeypatch.setenv("ALGOTRENDY_CREDENTIALS_KEY", base64.b64encode(b"k" * 32).decode())
    monkeypatch.setenv("COLUMNS", "120")
    return home


def algotrendy(*arguments: str, status: int = 0, answer: str = "") -> Result:
    result = CliRunner().invoke(app, list(arguments), input=answer)
    assert result.exit_code == status, result.output
    assert KEY.key not in result.output
    assert KEY.secret not in result.output
    return result


def as_json(*arguments: str, status: int = 0) -> Any:
    return json.loads(algotrendy(*arguments, "--json", status=status).stdout)


@pytest.fixture
def account(server: VenueServer) -> str:
    algotrendy("brokers", "add", "binance-main", "--venue", "binance", "--url", server.base_url)
    algotrendy("credentials", "put", "binance", "binance-main", answer=f"{KEY.key}\n{KEY.secret}\n")
    return "binance-main"


def test_a_session_trades_at_the_venue_and_the_ledger_agrees(account: str, server: VenueServer, exchange: Exchange) -> None:
    shown = algotrendy(*RUN, "--limit", "approval_above_notional=1000000").stdout
    assert f"account binance-main at binance, test venue {server.base_url}: orders leave this machine, no real money." in shown
    assert re.search(r"entry BTC\s", shown), shown
    placed = list(exchange.orders_of(ACCOUNT))
    assert len(placed) == len({order.ticket.client_id for order in placed}) == 2, "an entry and its stop"
    compared = as_json("reconcile")
    assert compared == {"agrees": True, "rows": []}
    checked = as_json("verify")
    assert checked["holds"] is True
    assert checked["venue_not_compared"] is None
    state = as_json("state")
    assert state["account"].startswith("account binance-main at binance")
    assert [order["purpose"] for order in state["live_orders"]] == ["stop"]


def test_what_was_paid_in_is_booked_by_a_person_and_is_no_profit(account: str, exchange: Exchange) -> None:
    algotrendy(*RUN, "--limit", "approval_above_notional=1000000")
    exchange.deposit(ACCOUNT, "USDT", Decimal(5_000))
    compared = as_json("reconcile", status=1)
    assert [(row["kind"], row["subject"], row["blocks"]) for row in compared["rows"]] == [("balance", "USDT", True)]
    booked = as_json("brokers", "transfers", "binance-main", "--reason", "bank transfer of Monday")
    assert [(one["asset"], one["amount"], one["value"]) for one in booked] == [("USDT", "5000", "5000")]
    assert as_json("reconcile")["agrees"] is True
    assert as_json("verify")["holds"] is True
    trail = algotrendy("audit", "list", "--json").stdout
    assert "transfer.booked" in trail


def test_real_money_needs_a_switch_that_is_audited_and_cannot_follow_a_test(account: str) -> None:
    algotrendy("brokers", "add", "binance-real", "--venue", "binance")
    refused = algotrendy("brokers", "production", "binance-real", "--reason", "go", answer="no\n", status=1)
    assert "nothing was switched" in refused.output
    algotrendy("brokers", "production", "binance-real", "--reason", "signed off by the partners", answer="binance-real\n")
    assert "REAL MONEY" in algotrendy("brokers", "list").stdout
    listed = {one["account"]: one for one in as_json("brokers", "list")["accounts"]}
    assert (listed["binance-real"]["production"], listed["binance-main"]["production"]) == (True, False)
    assert "signed off by the partners" in algotrendy("audit", "list", "--json").stdout
    algotrendy(*RUN, "--limit", "approval_above_notional=1000000")
    late = algotrendy("brokers", "production", "binance-main", "--reason", "go", "--yes", status=2)
    assert "has traded without real money already" in late.output
