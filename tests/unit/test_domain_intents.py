"""Ids and hashes: the same wish has the same name, and an approval holds for exactly what was asked."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.feeds import START
from trading_core.domain.intents import Check, RiskDecision, TradeIntent, Verdict, digest, make_client_order_id, make_intent_id
from trading_core.domain.orders import OrderType, Purpose, Side, TimeInForce

D = Decimal
INTENT = TradeIntent(
    "i", "r", "paper", "risk", Purpose.ENTRY, "BTC/USDT", Side.BUY, D(1), OrderType.LIMIT, START, D(100), D(90), D(101)
)
MOVES_MONEY: dict[str, Any] = {
    "intent_id": "j",
    "account_id": "live",
    "proposer": "operator",
    "purpose": Purpose.REBALANCE,
    "symbol": "ETH/USDT",
    "side": Side.SELL,
    "quantity": D("1.00000001"),
    "type": OrderType.MARKET,
    "limit_price": D("100.01"),
    "stop_price": None,
    "worst_price": D("101.01"),
    "time_in_force": TimeInForce.IOC,
    "strategy": "trend",
    "take_profit": D(120),
    "expires_at": START + timedelta(hours=1),
}
TELLS: dict[str, Any] = {"run_id": "s", "created_at": START + timedelta(seconds=1), "reason": "other", "evidence": ("e1",)}


def test_every_field_either_moves_money_or_only_tells() -> None:
    assert {field.name for field in fields(TradeIntent)} == MOVES_MONEY.keys() | TELLS.keys()


@pytest.mark.parametrize("name", list(MOVES_MONEY))
def test_the_hash_changes_with_what_moves_money(name: str) -> None:
    assert replace(INTENT, **{name: MOVES_MONEY[name]}).content_hash != INTENT.content_hash


@pytest.mark.parametrize("name", list(TELLS))
def test_the_hash_does_not_change_with_what_only_tells(name: str) -> None:
    assert replace(INTENT, **{name: TELLS[name]}).content_hash == INTENT.content_hash


def test_the_hash_does_not_depend_on_how_a_number_is_written() -> None:
    assert replace(INTENT, quantity=D("1.000"), limit_price=D("1E+2")).content_hash == INTENT.content_hash


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.decimals(allow_nan=False, allow_infinity=False, places=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), values, max_size=6), st.randoms(use_true_random=False))
def test_a_digest_does_not_depend_on_the_order_of_keys(payload: dict[str, Any], random: Any) -> None:
    keys = list(payload)
    random.shuffle(keys)
    assert digest({key: payload[key] for key in keys}) == digest(payload)
    assert len(digest(payload)) == 64
    assert digest([payload]) != digest(payload)


@pytest.mark.parametrize("value", [{1, 2}, START, object(), b"x"])
def test_what_has_no_agreed_text_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="no agreed text form"):
        digest({"value": value})


words = st.text(alphabet=st.characters(exclude_characters="|", exclude_categories=["Cs"]), max_size=10)


@given(words, st.sampled_from(list(Purpose)), words, words)
def test_an_intent_id_is_known_before_anything_is_sent(run: str, purpose: Purpose, symbol: str, leg: str) -> None:
    made = make_intent_id(run, purpose, symbol, leg)
    assert made == make_intent_id(run, purpose, symbol, leg)
    others = {make_intent_id(run + "x", purpose, symbol, leg), make_intent_id(run, purpose, symbol, leg + "x")}
    assert made not in others
    client = make_client_order_id(made)
    assert len(client) == 18
    assert client.isascii()
    assert client.isalnum()


def test_a_decision_names_what_failed() -> None:
    checks = (Check("cash", True, "1", "2"), Check("exposure", False, "3", "2"), Check("tempo", False, "9", "6"))
    decision = RiskDecision("i", Verdict.DENIED, checks, START)
    assert decision.reason_codes == ("exposure", "tempo")
    assert [check.found for check in decision.failed] == ["3", "9"]


def test_sales_take_risk_off() -> None:
    assert not INTENT.reduces
    assert replace(INTENT, side=Side.SELL).reduces
