"""What a key may do, as each venue tells it, and one line on each way in which a key is turned away."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import ccxt
import pytest

from tests.venues.binance import LOCAL as BINANCE
from tests.venues.faults import BAD_KEY, ERROR_BEFORE, NO_PERMISSION, Fault, banned
from tests.venues.local import LocalVenue, QuickClock, opened, serving
from tests.venues.server import VenueServer
from tests.venues.six import SIX
from trading_core.brokers.permissions import NOT_TOLD, KeyPermissions, explained, permissions_of
from trading_core.brokers.throttle import Throttle
from trading_core.brokers.venues.client import Credentials, open_client
from trading_core.brokers.venues.profiles import OKX, PROFILES
from trading_core.domain.errors import BrokerUnavailable, ConfigurationError, InvalidInput

BYBIT_BODY = {
    "retCode": 0,
    "result": {
        "readOnly": 0,
        "permissions": {"Spot": ["SpotTrade"], "Wallet": ["AccountTransfer", "SubMemberTransfer"], "ContractTrade": []},
        "ips": ["*"],
    },
}
OKX_BODY = {"code": "0", "data": [{"perm": "read_only,trade", "ip": "", "acctLv": "2"}], "msg": ""}
KRAKEN_BODY = {
    "error": [],
    "result": {
        "permissions": ["query-funds", "query-open-trades", "query-closed-trades", "modify-trades", "close-trades"],
        "ipAllowlist": [],
    },
}
BINANCE_BODY = {
    "ipRestrict": False,
    "enableReading": True,
    "enableWithdrawals": False,
    "enableSpotAndMarginTrading": True,
    "enableFutures": False,
}
COINBASE_BODY = {"can_view": True, "can_trade": True, "can_transfer": False, "portfolio_uuid": "p", "portfolio_type": "DEFAULT"}


@pytest.mark.parametrize(
    ("venue", "body", "restricted"),
    [
        ("binance", BINANCE_BODY, False),
        ("bybit", BYBIT_BODY, False),
        ("okx", OKX_BODY, False),
        ("kraken", KRAKEN_BODY, False),
        ("coinbase", COINBASE_BODY, None),
    ],
)
def test_a_key_that_reads_and_trades_and_no_more(venue: str, body: dict[str, object], restricted: bool | None) -> None:
    assert permissions_of(venue, body) == KeyPermissions(True, True, False, restricted)


def test_bybit_a_read_only_key_does_neither_whatever_is_ticked() -> None:
    ticked = {"Spot": ["SpotTrade"], "Wallet": ["Withdraw"]}
    result = {"readOnly": 1, "permissions": ticked, "ips": ["192.0.2.1"]}
    assert permissions_of("bybit", {"result": result}) == KeyPermissions(True, False, False, True)
    assert permissions_of("bybit", {"result": result | {"readOnly": 0}}).can_withdraw is True


def test_okx_tells_all_of_it_in_two_texts() -> None:
    row = {"perm": "read_only,withdraw", "ip": "192.0.2.1,192.0.2.2"}
    assert permissions_of("okx", {"data": [row]}) == KeyPermissions(True, False, True, True)


@pytest.mark.parametrize(
    ("missing", "field"), [("close-trades", "can_trade"), ("modify-trades", "can_trade"), ("query-open-trades", "can_read")]
)
def test_kraken_wants_placing_and_cancelling_and_both_kinds_of_reading(missing: str, field: str) -> None:
    granted = [name for name in KRAKEN_BODY["result"]["permissions"] if name != missing]
    found = permissions_of("kraken", {"result": {"permissions": [*granted, "withdraw-funds"], "ipAllowlist": ["192.0.2.1"]}})
    assert getattr(found, field) is False
    assert (found.can_withdraw, found.restricted_to_ips) == (True, True)


@pytest.mark.parametrize(
    ("venue", "body"),
    [
        ("binance", BINANCE_BODY | {"enableWithdrawals": "false"}),
        ("bybit", {"result": {"readOnly": 0, "permissions": {"Spot": []}, "ips": []}}),
        ("okx", {"data": []}),
        ("kraken", {"result": {"permissions": "all", "ipAllowlist": []}}),
        ("coinbase", {"can_view": True}),
    ],
)
def test_an_answer_in_another_form_is_no_permission(venue: str, body: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        permissions_of(venue, body)


def test_every_venue_with_an_endpoint_has_a_reader_and_ccxt_knows_the_method() -> None:
    for profile in PROFILES.values():
        if profile.key_endpoint:
            assert callable(getattr(getattr(ccxt, profile.venue)(), profile.key_endpoint))
            with pytest.raises(InvalidInput):
                permissions_of(profile.venue, {})


def test_warnings_name_what_to_change_and_what_is_not_told_is_no_warning() -> None:
    assert NOT_TOLD.warnings == ()
    assert KeyPermissions(True, True, False, True).warnings == ()
    found = KeyPermissions(False, False, True, False).warnings
    assert len(found) == 4
    assert all("\n" not in line and "at the venue" in line for line in found)


# Over real HTTP


@pytest.fixture(scope="module", params=SIX.values(), ids=lambda kind: kind.profile.venue)
def kind(request: pytest.FixtureRequest) -> LocalVenue:
    found: LocalVenue = request.param
    return found


@pytest.fixture(scope="module")
def server(kind: LocalVenue) -> Iterator[VenueServer]:
    with serving(kind) as running:
        yield running


async def test_the_venue_tells_what_each_of_its_keys_may_do(kind: LocalVenue, server: VenueServer) -> None:
    async with opened(kind, server) as local:
        for key in kind.keys:
            broker = await local.anew(Credentials(key.key, key.secret, kind.passphrase))
            try:
                found = await broker.permissions()
            finally:
                await broker.close()
            if not kind.profile.key_endpoint:
                assert found == NOT_TOLD
                continue
            assert (found.can_read, found.can_trade, found.can_withdraw) == (True, key.can_trade, key.can_withdraw)


async def test_a_key_nobody_knows_is_said_in_one_line(kind: LocalVenue, server: VenueServer) -> None:
    async with opened(kind, server) as local:
        broker = await local.anew(replace(kind.credentials, key="nobody"))
        try:
            with pytest.raises(BrokerUnavailable) as caught:
                await broker.balances()
        finally:
            await broker.close()
    line = explained(kind.profile.title, caught.value)
    assert line.startswith(kind.profile.title)
    assert "key" in line
    assert "\n" not in line


async def test_a_wrong_passphrase_is_said_to_be_that() -> None:
    okx = SIX["okx"]
    with serving(okx) as server:
        async with opened(okx, server) as local:
            broker = await local.anew(replace(okx.credentials, passphrase=f"not {okx.credentials.passphrase}"))
            try:
                with pytest.raises(BrokerUnavailable) as caught:
                    await broker.balances()
            finally:
                await broker.close()
    assert explained("OKX", caught.value) == (
        "OKX does not accept the passphrase: store the one that was chosen when the key was made"
    )


@pytest.fixture(scope="module")
def binance() -> Iterator[VenueServer]:
    with serving(BINANCE) as running:
        yield running


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (banned(1), "shut this address out"),
        (BAD_KEY, "does not accept the key: store key and secret again"),
        (NO_PERMISSION, "not from this address, or not for this"),
        (ERROR_BEFORE, "did not give"),
    ],
    ids=["ban", "bad key", "no permission", "down"],
)
async def test_what_is_wrong_is_said_in_one_line_with_what_to_do(binance: VenueServer, fault: Fault, says: str) -> None:
    async with opened(BINANCE, binance) as local:
        await local.broker.open()
        binance.faults.always(fault, "permissions")
        with pytest.raises(BrokerUnavailable) as caught:
            await local.broker.permissions()
    line = explained("Binance", caught.value)
    assert says in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (
            ccxt.AuthenticationError('okx {"msg":"Request header \\"OK_ACCESS_PASSPHRASE\\" incorrect.","code":"50105"}'),
            "passphrase",
        ),
        (
            ccxt.PermissionDenied('okx {"msg":"Your IP is not included in your API key\'s IP whitelist.","code":"50110"}'),
            "address",
        ),
        (ccxt.PermissionDenied('bybit {"retCode":10010,"retMsg":"Unmatched IP"}'), "address"),
        (ccxt.AuthenticationError('bybit {"retCode":10009,"retMsg":"IP has been banned"}'), "shut this address out"),
        (ccxt.AuthenticationError('cryptocom {"code":40103,"message":"IP_ILLEGAL"}'), "address"),
        (ccxt.PermissionDenied('kraken {"error":["EGeneral:Permission denied"]}'), "permissions to read and to trade"),
        (ccxt.ExchangeError('kraken {"error":["EAPI:Invalid signature"]}'), "store key and secret again"),
        (ccxt.DDoSProtection('kraken {"error":["EGeneral:Temporary lockout"]}'), "shut this address out"),
        (ccxt.InvalidNonce("binance Timestamp for this request is outside of the recvWindow."), "clock"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_each_venues_words_lead_to_the_same_advice(error: Exception, says: str) -> None:
    told = BrokerUnavailable("the venue did not give the balances")
    told.__cause__ = error
    assert says in explained("The venue", told)


def test_a_missing_passphrase_is_said_before_anything_is_asked() -> None:
    clock = QuickClock()
    throttle = Throttle(1, burst=1, monotonic=time.monotonic, sleep=clock.sleep)
    with pytest.raises(ConfigurationError, match=r"needs a passphrase.*was not opened.*Store the whole key"):
        open_client(OKX, Credentials("key", "secret"), throttle, sandbox=True, base_url=None)


async def test_a_test_network_without_the_endpoint_tells_nothing(binance: VenueServer) -> None:
    async with opened(BINANCE, binance) as local:
        api = local.broker._exchange.urls["api"]
        local.broker._exchange.urls["api"] = {name: url for name, url in api.items() if name != "sapi"}
        assert await local.broker.permissions() == NOT_TOLD
