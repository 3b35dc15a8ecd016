"""Tools of the MCP door: the registry's own, and who is offered which."""

from __future__ import annotations

import pytest

from api.mcp.acting import acting_tools
from api.mcp.conversing import conversing_tools
from api.mcp.reading import desk_tools
from api.mcp.server import tool_of
from api.mcp.tools import Offer
from tools.registry import CHAT_TOOLS
from trading_core.auth.permissions import Action, Principal
from trading_core.auth.roles import ROLE_ACTIONS, Role

OFFERS: dict[str, Offer] = {offer.name: offer for offer in (*conversing_tools(), *desk_tools(), *acting_tools())}


def person(role: Role, *accounts: str) -> Principal:
    return Principal(f"user:{role.value}", ROLE_ACTIONS[role], frozenset(accounts or ("paper",)), role=role.value)


def test_the_desks_tools_are_the_same_here_as_for_its_agents() -> None:
    who = person(Role.ADMIN)
    told = {name: tool for name, tool in CHAT_TOOLS.items() if name in OFFERS}
    assert set(CHAT_TOOLS) - set(told) == {"get_market_view", "get_proposals", "get_approved_orders"}, "those of a cycle alone"
    for name, tool in told.items():
        shown, offered = tool_of(OFFERS[name], who), tool.as_langchain()
        assert (shown.description, shown.input_schema) == (offered.description, offered.args_schema), name
        assert tool.action in OFFERS[name].needs


def test_hints_and_rights_go_together() -> None:
    reads = {action for action in Action if action.value.endswith(":read")}
    for offer in OFFERS.values():
        shown = tool_of(offer, person(Role.ADMIN))
        assert shown.annotations is not None
        if offer.read_only:
            assert offer.needs <= reads, offer.name
            assert not offer.destructive
        if offer.needs & {Action.SUBMIT, Action.APPROVE, Action.CONTROL_RISK}:
            assert shown.annotations.destructive_hint, offer.name
            assert "after a person has seen exactly this" in offer.description, offer.name
        assert offer.needs, "there is no tool for everybody"


@pytest.mark.parametrize("role", list(Role))
def test_a_role_is_offered_what_it_may(role: Role) -> None:
    offered = {name for name, offer in OFFERS.items() if offer.is_for(person(role))}
    may_act = role in {Role.ADMIN, Role.TRADER}
    assert ({"confirm_order", "approve", "reject", "halt", "run_cycle", "propose_order"} <= offered) is may_act
    assert ("explain_decision" in offered) is (role is not Role.VIEWER)
    assert {"ask_desk", "get_portfolio", "list_approvals", "get_run"} <= offered


def test_an_account_is_asked_for_where_there_is_a_choice() -> None:
    one, two = person(Role.TRADER), person(Role.TRADER, "live", "paper")
    for offer in OFFERS.values():
        assert offer.schema_for(one) == offer.schema, "who has one account sees the tool's own schema"
        properties = offer.schema_for(two)["properties"]
        assert isinstance(properties, dict)
        assert ("account" in properties) is offer.on_account
        if offer.on_account:
            assert properties["account"]["enum"] == ["live", "paper"]
            assert offer.schema_for(two).get("required") == offer.schema.get("required"), "it may be left out"
