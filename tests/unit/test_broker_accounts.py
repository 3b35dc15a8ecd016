"""Accounts at venues: who may add them, what is refused, and what the audit trail keeps."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from trading_core.auth.permissions import Action, Principal, operator
from trading_core.brokers.accounts import BrokerAccounts
from trading_core.brokers.factory import BrokerFactory
from trading_core.brokers.throttle import Throttles
from trading_core.domain.clock import SystemClock
from trading_core.domain.errors import ConfigurationError, InvalidInput, NotPermitted
from trading_core.domain.money import ZERO
from trading_core.domain.portfolio import Portfolio
from trading_core.persistence.session import Database
from trading_core.secrets.credentials import VenueCredentials, VenueKeys
from trading_core.secrets.sealing import KeyRing

ROOT = operator("root")
TRADER = Principal("user:tom", frozenset({Action.SUBMIT, Action.CONTROL_RISK}), frozenset({"binance-main"}), role="trader")


@pytest.fixture
async def database(location: str) -> AsyncIterator[Database]:
    async with await Database.open(location) as opened:
        yield opened


@pytest.fixture
def accounts(database: Database) -> BrokerAccounts:
    return BrokerAccounts(database, SystemClock())


async def test_an_account_begins_without_real_money_and_every_switch_is_audited(
    accounts: BrokerAccounts, database: Database
) -> None:
    added = await accounts.add(ROOT, "binance-main", "binance")
    assert (added.production, added.url, added.created_by) == (False, None, "root")
    switched = await accounts.set_production(ROOT, "binance-main", production=True, reason="signed off")
    assert switched.production
    assert (await accounts.get("binance-main")).production
    await accounts.set_production(ROOT, "binance-main", production=False, reason="second thoughts")
    assert await accounts.remove(ROOT, "binance-main")
    assert not await accounts.remove(ROOT, "binance-main")
    assert await accounts.all() == ()


@pytest.mark.parametrize(
    ("name", "venue", "url", "told"),
    [
        ("binance-main", "bnance", None, "Did you mean binance?"),
        ("Binance Main", "binance", None, "no name for an account"),
        ("paper-2", "binance", None, "paper exchange's"),
        ("b", "binance", "ftp://host", "no address of a venue"),
        ("b", "binance", "http://venue.example", "in clear"),
        ("b", "binance", "https://user:pw@venue.example", "no address of a venue"),
        ("b", "binance", "https://[::1", "no address of a venue"),
        ("b", "binance", "https://venue.example:99999", "no address of a venue"),
    ],
)
async def test_what_cannot_be_meant_is_refused(
    accounts: BrokerAccounts, name: str, venue: str, url: str | None, told: str
) -> None:
    with pytest.raises((ConfigurationError, InvalidInput), match=told):
        await accounts.add(ROOT, name, venue, url=url)
    assert await accounts.all() == ()


async def test_the_name_of_an_account_that_has_traded_is_not_given_to_another(
    accounts: BrokerAccounts, database: Database
) -> None:
    """Its record would go on as that of the other: at another venue, or as one without real money."""
    await accounts.add(ROOT, "main", "binance")
    await accounts.set_production(ROOT, "main", production=True, reason="signed off")
    async with database.transaction() as uow:
        await uow.portfolios.open_account(Portfolio("main", "USDT", ZERO, {}), "binance", SystemClock().now())
    assert await accounts.remove(ROOT, "main")
    for venue in ("binance", "kraken"):
        with pytest.raises(InvalidInput, match="has a record"):
            await accounts.add(ROOT, "main", venue)
    assert await accounts.all() == ()


async def test_a_trader_neither_adds_nor_switches_accounts(accounts: BrokerAccounts) -> None:
    with pytest.raises(NotPermitted):
        await accounts.add(TRADER, "binance-main", "binance")
    await accounts.add(ROOT, "binance-main", "binance")
    with pytest.raises(NotPermitted):
        await accounts.set_production(TRADER, "binance-main", production=True, reason="please")
    with pytest.raises(NotPermitted):
        await accounts.remove(TRADER, "binance-main")
    with pytest.raises(InvalidInput, match="reason"):
        await accounts.set_production(ROOT, "binance-main", production=True, reason=" ")
    assert not (await accounts.get("binance-main")).production


async def test_an_account_opens_only_with_whole_keys_and_where_there_is_a_sandbox(
    accounts: BrokerAccounts, database: Database
) -> None:
    clock, keys = SystemClock(), VenueCredentials(database, KeyRing(b"k" * 32), SystemClock())
    factory = BrokerFactory(keys, Throttles(monotonic=time.monotonic, sleep=clock.sleep), clock, random.Random(1), time.monotonic)
    runner = Principal("runner", frozenset({Action.USE_CREDENTIALS}), frozenset({"okx-main", "kraken-main"}))
    okx = await accounts.add(ROOT, "okx-main", "okx")
    with pytest.raises(ConfigurationError, match="no keys are stored for OKX"):
        await factory.open(runner, okx, ["BTC/USDT"], history_from=clock.now())
    await keys.put(ROOT, "okx", "okx-main", VenueKeys(SecretStr("key-7f3a"), SecretStr("secret-9c1e")))
    with pytest.raises(ConfigurationError, match="OKX needs a passphrase") as missing:
        await factory.open(runner, okx, ["BTC/USDT"], history_from=clock.now())
    assert "9c1e" not in str(missing.value)
    assert "7f3a" not in str(missing.value)
    kraken = await accounts.add(ROOT, "kraken-main", "kraken")
    await keys.put(ROOT, "kraken", "kraken-main", VenueKeys(SecretStr("k"), SecretStr("c2VjcmV0")))
    with pytest.raises(ConfigurationError, match="Kraken has no sandbox"):
        await factory.open(runner, kraken, ["BTC/USD"], history_from=clock.now())
    with pytest.raises(NotPermitted):
        await factory.open(TRADER, okx, ["BTC/USDT"], history_from=clock.now())
