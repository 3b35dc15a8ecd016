"""What the ccxt adapter makes of requests to Crypto.com and of its words, without a venue."""

from __future__ import annotations

import ccxt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_core.brokers.throttle import Throttle
from trading_core.brokers.venues.client import Credentials, open_client
from trading_core.brokers.venues.cryptocom import rerouted, routed
from trading_core.brokers.venues.errors import Outcome, outcome_of
from trading_core.brokers.venues.profiles import CRYPTOCOM

NAMES = st.sampled_from(["order_id", "client_oid", "instrument_name", "ref_price", "spot_margin", "limit", "trigger"])
VALUES = st.one_of(st.none(), st.text(max_size=4), st.integers(0, 9))


@given(st.dictionaries(NAMES, VALUES), st.sampled_from(["create-order", "cancel-order", "get-open-orders"]))
def test_a_request_goes_where_it_belongs_with_nothing_empty_in_it(params: dict[str, object], name: str) -> None:
    path, given_ = routed(f"private/{name}", params)
    about_a_stop = bool(params.get("trigger")) or params.get("ref_price") is not None
    assert path == (f"private/advanced/{name}" if about_a_stop else f"private/{name}")
    assert "trigger" not in given_
    assert None not in given_.values()
    kept = {key: value for key, value in params.items() if value is not None and key not in ("trigger", "spot_margin")}
    assert kept.items() <= given_.items()


async def test_what_is_sent_elsewhere_weighs_what_it_costs_there() -> None:
    sent: list[tuple[str, object]] = []

    async def send(path: str, api: object, method: str, params: object, config: dict[str, object]) -> object:
        sent.append((path, config["cost"]))
        return {}

    request = rerouted(send)
    private = ["v1", "private"]
    await request("private/create-order", private, "POST", {"ref_price": "1"}, config={"cost": 2 / 3})
    await request("private/get-order-history", private, "POST", {"trigger": True}, config={"cost": 100})
    await request("private/create-order", private, "POST", {"price": "1"}, config={"cost": 2 / 3})
    assert sent == [
        ("private/advanced/create-order", 10 / 3),
        ("private/advanced/get-order-history", 100),
        ("private/create-order", 2 / 3),
    ]


def test_the_sandbox_has_its_own_streams() -> None:
    async def sleep(seconds: float) -> None:
        raise AssertionError("nothing is asked")

    throttle = Throttle(1, burst=1, monotonic=lambda: 0.0, sleep=sleep)
    client = open_client(CRYPTOCOM, Credentials("key", "secret"), throttle, sandbox=True, base_url=None)
    api = client.urls["api"]
    assert isinstance(api, dict)
    assert api["ws"]["private"] == "wss://uat-stream.3ona.co/exchange/v1/user"


@pytest.mark.parametrize(
    ("words", "status", "outcome"),
    [
        ("INSUFFICIENT_AVAILABLE_BALANCE", 500, Outcome.REFUSED),
        ("DUPLICATE_CLORDID", 400, Outcome.REFUSED),
        ("ERR_INTERNAL", 500, Outcome.AMBIGUOUS),
        ("SELF_TRADE_PREVENTION", 200, Outcome.AMBIGUOUS),
        ("IMMEDIATE_OR_CANCEL", 400, Outcome.AMBIGUOUS),
        ("FAR_AWAY_LIMIT_PRICE", 400, Outcome.AMBIGUOUS),
    ],
)
def test_only_a_verdict_on_an_order_that_was_not_taken_proves_a_refusal(words: str, status: int, outcome: Outcome) -> None:
    error = ccxt.InvalidOrder(
        f'cryptocom {{"code":1,"message":"{words}","original":"{{\\"time_in_force\\":\\"FILL_OR_KILL\\"}}"}}'
    )
    profile = CRYPTOCOM
    judged = outcome_of(error, status=status, refusals=profile.refusals, refuses_with_5xx=True, taken=profile.taken)
    assert judged is outcome
