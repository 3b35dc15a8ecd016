"""Sources of readings beside a live market, from the command line: shown, silent, and one that lies about the price."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from api.cli import app
from tests.channels.server import ServiceServer
from tests.venues.binance import LOCAL as BINANCE
from tests.venues.engine import Exchange
from tests.venues.local import ACCOUNT
from tests.venues.past import breakout, give_past
from tests.venues.server import VenueServer, wall_clock_ms

PRICE = Decimal(50_000)
RUN = [
    "run", "--market", "live", "--broker", "binance-main", "--symbols", "BTC/USDT", "--timeframe", "1d",
    "--limit", "approval_above_notional=1000000", "--limit", "risk_per_trade=0.001",
]  # fmt: skip


def coingecko(price: Decimal) -> dict[str, object]:
    told = {"usd": float(price), "usd_market_cap": 1e12, "usd_24h_vol": 3e10, "usd_24h_change": 2.0}
    return {"/simple/price": {"bitcoin": {**told, "last_updated_at": int(time.time())}}}


@pytest.fixture
def exchange() -> Exchange:
    made = Exchange(BINANCE.markets, wall_clock_ms, fees=BINANCE.fees)
    made.deposit(ACCOUNT, "USDT", Decimal(100_000))
    give_past(made, "BTC/USDT", breakout(PRICE))
    made.move("BTC/USDT", PRICE)
    return made


@pytest.fixture
def services() -> Iterator[ServiceServer]:
    with ServiceServer(coingecko(PRICE)) as running:
        yield running


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchange: Exchange, services: ServiceServer) -> Iterator[Path]:
    home = tmp_path / "home"
    monkeypatch.setenv("ALGOTRENDY_HOME", str(home))
    monkeypatch.setenv("ALGOTRENDY_CREDENTIALS_KEY", base64.b64encode(b"k" * 32).decode())
    monkeypatch.setenv("ALGOTRENDY_CHANNEL_URLS", f"coingecko={services.base_url}")
    monkeypatch.setenv("COLUMNS", "140")
    key = BINANCE.keys[0]
    with VenueServer(BINANCE.stand(exchange)) as venue:
        algotrendy("brokers", "add", "binance-main", "--venue", "binance", "--url", venue.base_url)
        algotrendy("credentials", "put", "binance", "binance-main", answer=f"{key.key}\n{key.secret}\n")
        yield home


def algotrendy(*arguments: str, status: int = 0, answer: str = "") -> Result:
    result = CliRunner().invoke(app, list(arguments), input=answer)
    assert result.exit_code == status, result.output
    return result


def bought(exchange: Exchange) -> Decimal:
    return sum((order.filled for order in exchange.orders_of(ACCOUNT) if order.ticket.side.value == "buy"), Decimal(0))


def test_the_sources_are_shown_with_what_each_wants(services: ServiceServer) -> None:
    told = algotrendy("channels", "--sources", "coingecko,glassnode", "--symbols", "BTC/USDT", "--json").stdout
    gecko, glassnode = json.loads(told)
    assert (gecko["state"], gecko["last_error"]) == ("live", "")
    assert gecko["readings"] > 0
    assert (glassnode["state"], glassnode["reason"]) == ("off", "it wants glassnode-api-key")
    watched = algotrendy("channels", "watch", "BTC/USDT", "--sources", "coingecko", "--seconds", "0.5").stdout
    assert re.search(r"coingecko\s+price\s+50,000", watched), watched


def test_an_entry_takes_the_ordinary_risk_when_the_sources_agree(services: ServiceServer, exchange: Exchange) -> None:
    shown = algotrendy(*RUN, "--channels", "coingecko,glassnode").stdout
    assert "half the risk" not in shown
    assert services.count("/simple/price") == 1
    assert Decimal("0.07") < bought(exchange) < Decimal("0.08"), "100 USDT over some 1,330 to the stop, fees and slippage in"


def test_it_takes_half_of_that_when_every_source_that_is_on_is_silent(services: ServiceServer, exchange: Exchange) -> None:
    services.reset({})  # every path is a 404 now
    shown = algotrendy(*RUN, "--channels", "coingecko,glassnode").stdout
    assert "half the risk: every channel that is on is silent" in shown, shown
    assert "coingecko" in shown
    assert Decimal("0.035") < bought(exchange) < Decimal("0.04")


def test_a_price_ten_times_off_is_named_and_not_traded_on(services: ServiceServer, exchange: Exchange) -> None:
    services.reset(coingecko(PRICE * 10))
    shown = algotrendy(*RUN, "--channels", "coingecko").stdout
    assert "not entered: the price is contradicted" in shown, shown
    assert re.search(r"coingecko", shown)
    assert bought(exchange) == 0
    assert "No decision led to an order." in shown
