"""Which errors of ccxt's prove that nothing was done, and how orders are put to it."""

from __future__ import annotations

import time
from decimal import Decimal

import ccxt
import pytest

from tests.venues.local import QuickClock
from trading_core.brokers.throttle import Throttle
from trading_core.brokers.venues.client import Credentials, open_client
from trading_core.brokers.venues.errors import OUTCOMES, Outcome, is_absent, is_passing, outcome_of, reading, writing
from trading_core.brokers.venues.forms import form_of, misfits, passable_form
from trading_core.brokers.venues.profile import VenueProfile
from trading_core.brokers.venues.profiles import COINBASE, PROFILES, profile_of
from trading_core.domain.errors import AmbiguousOutcome, BrokerUnavailable, ConfigurationError, OrderRefused
from trading_core.domain.instruments import Instrument
from trading_core.domain.orders import OrderRequest, OrderType, Side, TimeInForce

D = Decimal
EVERY_ERROR = sorted((error for name in ccxt.errors.__all__ if isinstance(error := getattr(ccxt, name), type)), key=str)
BTC = Instrument("BTC/USD", D("0.1"), D("0.001"), D("0.001"), D(1))


@pytest.mark.parametrize("kind", EVERY_ERROR, ids=lambda kind: kind.__name__)
def test_every_error_ccxt_has_is_judged_and_network_errors_prove_nothing(kind: type[Exception]) -> None:
    outcome = outcome_of(kind("said"), status=200)
    assert kind.__name__ in OUTCOMES or any(base.__name__ in OUTCOMES for base in kind.__mro__[1:])
    if issubclass(kind, ccxt.OperationFailed) and not issubclass(kind, ccxt.InvalidNonce):
        assert outcome is Outcome.AMBIGUOUS


@pytest.mark.parametrize("kind", EVERY_ERROR, ids=lambda kind: kind.__name__)
def test_a_server_error_proves_nothing_whatever_its_body_says(kind: type[Exception]) -> None:
    assert outcome_of(kind("said"), status=503, refusals=("said",)) is Outcome.AMBIGUOUS


def test_the_bare_exchange_error_is_open_unless_the_venue_is_known_to_say_it_of_a_judged_order() -> None:
    error = ccxt.ExchangeError('kraken {"error":["EOrder:Cannot open position"]}')
    assert outcome_of(error, status=200) is Outcome.AMBIGUOUS
    assert outcome_of(error, status=200, refusals=PROFILES["kraken"].refusals) is Outcome.REFUSED
    assert outcome_of(error, status=None, refusals=PROFILES["kraken"].refusals) is Outcome.AMBIGUOUS


@pytest.mark.parametrize(
    ("venue", "error"),
    [
        ("binance", ccxt.DDoSProtection('binance {"code":-2015,"msg":"Invalid API-key, IP, or permissions for action."}')),
        ("binance", ccxt.ExchangeError('binance {"code":-2008,"msg":"Invalid Api-Key ID."}')),
        ("okx", ccxt.ExchangeError('okx {"msg":"API key doesn\'t have permission to use this function","code":"50120"}')),
        ("kraken", ccxt.ExchangeError('kraken {"error":["EAPI:Invalid signature"]}')),
        ("kraken", ccxt.ExchangeError('kraken {"error":["EGeneral:Invalid arguments:cl_ord_id"]}')),
    ],
    ids=str,
)
def test_a_caller_who_is_turned_away_in_words_that_ccxt_has_no_class_for_is_refused(venue: str, error: Exception) -> None:
    refusals = PROFILES[venue].refusals
    assert outcome_of(error, status=200, refusals=()) is Outcome.AMBIGUOUS
    assert outcome_of(error, status=200, refusals=refusals) is Outcome.REFUSED
    assert outcome_of(error, status=502, refusals=refusals) is Outcome.AMBIGUOUS


def test_errors_that_are_not_ccxts_prove_nothing() -> None:
    assert outcome_of(KeyError("orderId"), status=200) is Outcome.AMBIGUOUS
    assert outcome_of(TypeError("None"), status=None) is Outcome.AMBIGUOUS


def test_absence_is_only_the_venues_own_word() -> None:
    assert is_absent(ccxt.OrderNotFound("no"))
    assert not any(is_absent(kind("no")) for kind in EVERY_ERROR if kind is not ccxt.OrderNotFound)
    assert is_passing(ccxt.RequestTimeout("late"))
    assert not is_passing(ccxt.OrderNotFound("no"))


def test_reads_and_writes_fail_in_the_ports_words() -> None:
    with pytest.raises(BrokerUnavailable, match="Kraken did not give the balances: RequestTimeout"):
        with reading("Kraken", "the balances"):
            raise ccxt.RequestTimeout("late")
    with pytest.raises(OrderRefused, match="InsufficientFunds"):
        with writing("Kraken", "order 'c1'", ()):
            raise ccxt.InsufficientFunds("too poor")
    with pytest.raises(AmbiguousOutcome, match="c1"):
        with writing("Kraken", "order 'c1'", ()):
            raise ccxt.ExchangeNotAvailable("<html>" + "x" * 5000)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda profile: profile.venue)
def test_a_stop_goes_out_under_the_name_this_venue_reads(profile: VenueProfile) -> None:
    request = OrderRequest("c1", "BTC/USD", Side.SELL, OrderType.STOP, D(1), stop_price=D("100.5"))
    form = form_of(request, BTC, profile)
    assert form is not None
    assert form.is_stop
    assert form.params[profile.stop_param] == "100.5"
    assert form.price == ("95.4" if profile is COINBASE else None)
    assert form.type == ("limit" if profile is COINBASE else "market")


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda profile: profile.venue)
def test_a_market_buy_is_never_sent_with_a_price_that_would_make_it_quote(profile: VenueProfile) -> None:
    request = OrderRequest("c1", "BTC/USD", Side.BUY, OrderType.MARKET, D("0.5"))
    form = form_of(request, BTC, profile)
    if profile is COINBASE:
        assert form is None
        form = passable_form(request, BTC, profile, D("100.1"))
        assert (form.type, form.price, form.params) == ("limit", "105.2", {"timeInForce": "IOC"})
    else:
        assert form is not None
        assert (form.type, form.price) == ("market", None)
    assert form.amount == "0.5"


def test_what_would_be_rounded_is_not_sent() -> None:
    limit = OrderRequest("c1", "BTC/USD", Side.BUY, OrderType.LIMIT, D("0.0015"), limit_price=D("100.05"))
    assert len(misfits(limit, BTC)) == 2
    no_stop = OrderRequest("c1", "BTC/USD", Side.BUY, OrderType.STOP, D(1), limit_price=D(100))
    assert [problem.split("order ")[1] for problem in misfits(no_stop, BTC)] == ["takes no limit price", "needs a stop price"]
    fine = OrderRequest("c1", "BTC/USD", Side.BUY, OrderType.LIMIT, D("0.5"), D("100.1"), time_in_force=TimeInForce.POST_ONLY)
    assert misfits(fine, BTC) == []


def client_of(profile: VenueProfile, credentials: Credentials, *, sandbox: bool = False) -> object:
    clock = QuickClock()
    throttle = Throttle(1, burst=1, monotonic=time.monotonic, sleep=clock.sleep)
    return open_client(profile, credentials, throttle, sandbox=sandbox, base_url=None)


def test_a_key_without_its_parts_and_a_venue_without_a_sandbox_are_one_clear_line_each() -> None:
    with pytest.raises(ConfigurationError, match="OKX needs a passphrase"):
        client_of(PROFILES["okx"], Credentials("key", "secret"))
    with pytest.raises(ConfigurationError, match="Kraken has no sandbox"):
        client_of(PROFILES["kraken"], Credentials("key", "secret"), sandbox=True)
    with pytest.raises(ConfigurationError, match="'krakn'") as refusal:
        profile_of("krakn")
    assert refusal.value.next_step == "Did you mean kraken?"


def test_a_key_is_never_printed() -> None:
    shown = repr(Credentials("key", "hidden-secret", "hidden-phrase"))
    assert "hidden" not in shown
