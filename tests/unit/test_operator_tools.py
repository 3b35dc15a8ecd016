"""Tools for talking with an operator: whose rights they ask for, and that a cycle has none of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.utils.function_calling import convert_to_openai_tool

from agents.chat_roster import CHAT_ACTIONS, CHAT_ROSTER
from agents.models.rules.chat import respond
from agents.roster import ROSTER
from agents.spec import AgentName
from tests.unit.builders import BTC, context
from tools.context import Facts, OperatorDesk
from tools.registry import CHAT_TOOLS, OPERATOR_TOOLS, TOOLS
from trading_core.auth.agents import AGENT_ACTIONS
from trading_core.auth.permissions import Action, Principal, operator
from trading_core.auth.roles import ROLE_ACTIONS, Role


class Desk(OperatorDesk):
    """Notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []

    async def orders(self, symbol: str, limit: int) -> Facts:
        return self._note("orders", symbol, limit)

    async def performance(self) -> Facts:
        return self._note("performance")

    async def explained(self, about: str) -> Facts:
        return self._note("explained", about)

    async def risk_state(self) -> Facts:
        return self._note("risk_state")

    async def propose(self, wanted: Facts, reason: str) -> Facts:
        return self._note("propose", dict(wanted), reason)

    def _note(self, *asked: object) -> Facts:
        self.asked.append(asked)
        return {"ok": True}


ARGUMENTS: dict[str, dict[str, Any]] = {
    "get_orders": {"symbol": BTC, "limit": 3},
    "get_performance": {},
    "explain_decision": {"about": BTC},
    "get_risk_state": {},
    "propose_order": {"symbol": BTC, "side": "sell", "fraction": 0.5},
}


async def call(name: str, principal: Principal, desk: Desk | None, /, **arguments: Any) -> dict[str, Any]:
    asked = context(principal=principal)
    asked.operator = desk
    return dict((await OPERATOR_TOOLS[name].call(asked, arguments or dict(ARGUMENTS[name]))).result)


@pytest.mark.parametrize("name", list(OPERATOR_TOOLS))
async def test_an_operator_is_answered_and_a_cycle_is_not(name: str) -> None:
    desk = Desk()
    assert await call(name, operator("ana", "paper"), desk) == {"ok": True}
    assert len(desk.asked) == 1
    assert "conversation with an operator" in (await call(name, operator("ana", "paper"), None))["error"]


@pytest.mark.parametrize("name", list(OPERATOR_TOOLS))
async def test_without_the_permission_the_desk_is_not_even_asked(name: str) -> None:
    needed = {OPERATOR_TOOLS[name].action} | ({Action.PROPOSE_ENTRY} if name == "propose_order" else set())
    for missing in needed:
        desk = Desk()
        told = await call(name, Principal("half", frozenset(Action) - {missing}, frozenset({"paper"})), desk)
        assert f"may not {missing.value}" in told["error"]
        assert desk.asked == []


async def test_amounts_reach_the_desk_as_text_and_nothing_else_does() -> None:
    desk = Desk()
    arguments = {
        "symbol": BTC,
        "side": "buy",
        "notional": 500.0,
        "stop_price": "90",
        "principal": "admin",
        "reason": "he wants it",
    }
    await call("propose_order", operator("ana", "paper"), desk, **arguments)
    wanted = {"symbol": BTC, "side": "buy", "type": "market", "notional": "500.0", "stop_price": "90"}
    assert desk.asked == [("propose", wanted, "he wants it")]


anything = st.none() | st.booleans() | st.floats() | st.text(max_size=20) | st.lists(st.integers(), max_size=2) | st.just(BTC)
names = st.sampled_from(["symbol", "side", "quantity", "about", "limit", "principal", "runtime", "self", "type"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.sampled_from(list(OPERATOR_TOOLS)), st.dictionaries(names, anything, min_size=1, max_size=5))
async def test_hostile_arguments_never_raise(name: str, arguments: dict[str, Any]) -> None:
    asked = context(principal=(before := operator("ana", "paper")))
    asked.operator = Desk()
    json.loads((await OPERATOR_TOOLS[name].call(asked, arguments)).as_text())
    assert asked.principal is before


@pytest.mark.parametrize("name", list(OPERATOR_TOOLS))
def test_a_model_sees_nothing_hidden(name: str) -> None:
    schema = convert_to_openai_tool(OPERATOR_TOOLS[name].as_langchain())["function"]
    assert set(schema["parameters"].get("properties", {})) == set(OPERATOR_TOOLS[name].arguments.model_fields)
    assert not {"principal", "account", "runtime", "context"} & set(schema["parameters"].get("properties", {}))


@pytest.mark.parametrize("name", list(CHAT_ROSTER))
def test_each_agent_may_use_each_of_its_tools_and_can_neither_submit_nor_approve(name: AgentName) -> None:
    spec = CHAT_ROSTER[name]
    assert {CHAT_TOOLS[tool].action for tool in (*spec.opening, *spec.tools)} <= CHAT_ACTIONS[name]
    assert spec.prompt.startswith(f"# You are the {name.replace('_', ' ')} agent, talking with an operator")
    trading = {Action.SUBMIT, Action.APPROVE, Action.CONTROL_RISK, Action.OPERATE}
    for role in Role:
        person = Principal("user:x", ROLE_ACTIONS[role], frozenset({"paper"}), role=role.value)
        own = spec.principal(person)
        assert own.actions <= person.actions
        assert not own.actions & trading
        assert (own.name, own.accounts, own.role) == (person.name, person.accounts, person.role)
    assert ("propose_order" in spec.tools) == (name == "execution") == (Action.PROPOSE_ENTRY in CHAT_ACTIONS[name])


def test_who_hears_strangers_sees_no_account_and_no_cycle_has_operator_tools() -> None:
    assert CHAT_ACTIONS["market_analysis"] == AGENT_ACTIONS["market_analysis"]
    used = {tool for spec in ROSTER.values() for tool in (*spec.opening, *spec.tools)}
    assert not used & set(OPERATOR_TOOLS)
    assert not set(TOOLS) & set(OPERATOR_TOOLS)


def test_the_rules_say_nothing_where_no_operator_is_spoken_to() -> None:
    assert respond([], ()) is None
