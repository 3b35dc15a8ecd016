"""Each tool: its result, its permission, and what hostile arguments do to it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.utils.function_calling import convert_to_openai_tool

from tests.unit.builders import AS_OF, BTC, ETH, INSTRUMENTS, SOL, D, context, rising, snapshot
from tools.context import Evidence
from tools.registry import TOOLS
from trading_core.auth.permissions import Action, Principal
from trading_core.domain.clock import iso
from trading_core.domain.instruments import Instrument
from trading_core.domain.market import Timeframe

NOBODY = Principal("nobody", frozenset(), frozenset())
OF_A_SYMBOL = [name for name, tool in TOOLS.items() if "symbol" in tool.arguments.model_fields]
LAST = 219.6  # close of the last rising bar


async def result(name: str, asked: Any = None, **arguments: object) -> dict[str, Any]:
    return dict((await TOOLS[name].call(asked or context(), arguments)).result)


async def test_ticker() -> None:
    told = await result("get_ticker", symbol=BTC)
    assert told == {"symbol": BTC, "available": True, "bid": 219.55, "ask": 219.65, "last": LAST, "at": iso(AS_OF)}
    none = await result("get_ticker", context(snapshot(tickers={})), symbol=BTC)
    assert none["available"] is False


async def test_indicators() -> None:
    told = await result("get_indicators", symbol=BTC)
    assert (told["available"], told["bars"], told["last_close"], told["timeframe"]) == (True, 240, LAST, "1h")
    assert told["ema_20"] > told["ema_50"] > told["ema_200"]
    empty = await result("get_indicators", context(snapshot(bars={})), symbol=BTC)
    assert (empty["available"], empty["why"]) == (False, "only 0 closed bars are known")


async def test_bars() -> None:
    told = await result("get_bars", symbol=BTC, limit=2)
    assert [row[4] for row in told["rows"]] == [float(bar.close) for bar in rising()[-2:]]
    other = await result("get_bars", symbol=BTC, timeframe="4h", limit=3)
    assert (other["timeframe"], len(other["rows"])) == ("4h", 3)
    assert (await result("get_bars", symbol=BTC))["columns"].startswith("opened_at,open")


@pytest.mark.parametrize("arguments", [{"limit": 0}, {"limit": 61}, {"timeframe": "1x"}, {"timeframe": "1h\n"}])
async def test_bars_outside_bounds_are_refused(arguments: dict[str, object]) -> None:
    assert set(await result("get_bars", symbol=BTC, **arguments)) == {"error"}


async def test_portfolio_and_position() -> None:
    told = await result("get_portfolio")
    (held,) = told["holdings"]
    assert (told["cash"], told["equity"], told["trading_state"], told["open_entry_orders"]) == (
        800.0,
        800 + 2 * LAST,
        "active",
        0,
    )
    assert (held["symbol"], held["quantity"], held["average_cost"]) == (BTC, 2.0, 100.0)
    assert held["weight"] + told["cash_weight"] == pytest.approx(1)
    position = await result("get_position", symbol=BTC)
    assert (position["held"], position["unrealised"]) == (True, pytest.approx(2 * LAST - 200))
    assert [order["purpose"] for order in position["open_orders"]] == ["stop"]
    assert (await result("get_position", symbol=ETH)) == {"symbol": ETH, "held": False, "open_orders": []}
    assert len((await result("get_open_orders"))["orders"]) == 1


@pytest.mark.parametrize(
    ("instruments", "why"),
    [(INSTRUMENTS, "it has no price now: not valued"), ({}, "the venue does not list it and it has no price: not valued")],
)
async def test_what_has_no_price_is_told_and_not_valued(instruments: dict[str, Instrument], why: str) -> None:
    unpriced = context(snapshot(tickers={}, instruments=instruments))
    told = await result("get_portfolio", unpriced)
    unknown = dict.fromkeys(("equity", "cash_weight", "drawdown"))
    assert {name: told[name] for name in unknown} == unknown, "an unknown price is not zero"
    row = {"symbol": BTC, "quantity": 2.0, "value": None, "weight": None, "average_cost": 100.0, "unrealised": None, "why": why}
    assert (told["cash"], told["holdings"]) == (800.0, [row])
    position = await result("get_position", unpriced, symbol=BTC)
    assert {name: position[name] for name in row} == row
    assert position["held"] is True


async def test_what_is_listed_no_more_is_valued_while_it_has_a_price() -> None:
    gone = context(snapshot(instruments={}))
    (row,) = (await result("get_portfolio", gone))["holdings"]
    assert (row["value"], row["why"]) == (2 * LAST, "the venue does not list it")
    assert (await result("get_position", gone, symbol=BTC))["why"] == "the venue does not list it"
    (held,) = (await result("get_volatilities", gone))["held"]
    assert held["taker_fee"] is None


async def test_channels() -> None:
    told = await result("get_sentiment", symbol=BTC)
    assert (told["available"], told["readings"][0]["value"], told["readings"][0]["unit"]) == (True, 0.25, "score")
    assert await result("get_onchain", symbol=BTC) == {"symbol": BTC, "available": False, "why": "no key is set"}
    assert (await result("get_onchain", symbol=ETH))["available"] is False


async def test_risk_facts() -> None:
    assert (await result("get_limits"))["limits"]["risk_per_trade"] == "0.02"
    (held,) = (await result("get_volatilities"))["held"]
    assert (held["symbol"], held["taker_fee"]) == (BTC, 0.001)
    twins = context(snapshot(bars={BTC: rising(), ETH: rising()}))
    assert (await result("get_correlations", twins))["pairs"] == {f"{BTC}~{ETH}": 1.0}


async def test_record_and_run() -> None:
    assert len((await result("get_past_decisions", symbol=BTC, limit=3))["decisions"]) == 1
    assert (await result("get_execution_quality"))["orders"][0]["symbol"] == BTC
    assert await result("get_market_view", symbol=BTC) == {"symbol": BTC, "abstained": True}
    assert await result("get_proposals") == {"signals": [], "rebalancing": []}
    assert await result("get_approved_orders") == {"orders": []}
    upstream = {f"market_analysis:{BTC}": {"trend": "up"}, "proposals": {"signals": [1]}, "approved": {"orders": [2]}}
    assert await result("get_market_view", context(upstream=upstream), symbol=BTC) == {"trend": "up"}
    assert await result("get_proposals", context(upstream=upstream)) == {"signals": [1]}
    assert await result("get_approved_orders", context(upstream=upstream)) == {"orders": [2]}


@pytest.mark.parametrize("name", list(TOOLS))
async def test_without_the_permission_there_is_an_error_and_no_data(name: str) -> None:
    arguments = {"symbol": BTC} if name in OF_A_SYMBOL else {}
    wrong = Principal("half", frozenset(Action) - {TOOLS[name].action}, frozenset({"paper"}))
    for principal in (NOBODY, wrong):
        asked = context(principal=principal)
        item = await TOOLS[name].call(asked, dict(arguments))
        assert set(item.result) == {"error"}
        assert f"may not {TOOLS[name].action.value}" in str(item.result["error"])
        assert asked.evidence == {item.id: item}


@pytest.mark.parametrize("symbol", [SOL, "DOGE/USDT", "", "btc/usdt", "BTC/USDT "])
@pytest.mark.parametrize("name", OF_A_SYMBOL)
async def test_a_symbol_outside_the_run_is_refused(name: str, symbol: str) -> None:
    told = await result(name, symbol=symbol)
    assert set(told) == {"error"}
    assert "not part of this run" in told["error"]


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=20) | st.just("x" * 50_000),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
names = st.sampled_from(["symbol", "limit", "timeframe", "runtime", "principal", "account", "self", "context", "arguments"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(st.sampled_from(list(TOOLS)), st.dictionaries(names, anything | st.sampled_from([BTC, "1h"]), max_size=5))
async def test_hostile_arguments_never_raise_and_change_nobody(name: str, arguments: dict[str, Any]) -> None:
    asked = context(principal=(before := replace(NOBODY, actions=frozenset({Action.READ_MARKET}))))
    item = await TOOLS[name].call(asked, arguments)
    assert asked.principal is before
    json.loads(item.as_text())
    if TOOLS[name].action is not Action.READ_MARKET:
        assert set(item.result) == {"error"}
    assert len(json.dumps(item.arguments, default=str)) < 5_000


async def test_extra_arguments_are_dropped_from_call_and_record() -> None:
    asked = context()
    item = await TOOLS["get_ticker"].call(asked, {"symbol": BTC, "principal": "admin", "account": "other", "runtime": {}})
    assert item.arguments == {"symbol": BTC}
    assert item == await TOOLS["get_ticker"].call(asked, {"symbol": BTC})


async def test_evidence_ids_are_made_of_what_they_say() -> None:
    first, again = [await TOOLS["get_ticker"].call(context(), {"symbol": BTC}) for _ in range(2)]
    assert first.id == again.id
    assert first.id[0] == "e"
    assert len(first.id) == 9
    assert Evidence.of("t", {"a": 1, "b": 2}, {}).id == Evidence.of("t", {"b": 2, "a": 1}, {}).id
    others = [
        Evidence.of("t", {}, {"a": 1}),
        Evidence.of("t", {}, {"a": 2}),
        Evidence.of("t", {"a": 1}, {}),
        Evidence.of("u", {}, {"a": 1}),
    ]
    assert len({item.id for item in others}) == 4
    assert (await TOOLS["get_ticker"].call(context(), {"symbol": ETH})).id != first.id


async def test_a_result_is_shown_as_compact_json_with_its_id_first() -> None:
    item = Evidence.of("t", {}, {"price": D("1.50"), "list": [1]})
    assert item.as_text() == f'{{"evidence":"{item.id}","price":"1.5","list":[1]}}'


@pytest.mark.parametrize("name", list(TOOLS))
def test_a_model_sees_typed_arguments_and_nothing_hidden(name: str) -> None:
    schema = convert_to_openai_tool(TOOLS[name].as_langchain())["function"]
    assert schema["name"] == name
    assert schema["description"]
    assert set(schema["parameters"].get("properties", {})) == set(TOOLS[name].arguments.model_fields)
    assert set(TOOLS[name].arguments.model_fields) <= {"symbol", "timeframe", "limit"}


async def test_tools_know_nothing_after_the_instant() -> None:
    early = snapshot(as_of=AS_OF.replace(day=2), timeframe=Timeframe("4h"))
    told = await result("get_bars", context(early), symbol=BTC, timeframe="1h", limit=5)
    assert all(row[0] < iso(early.as_of) for row in told["rows"])
    assert len(told["rows"]) == 5
