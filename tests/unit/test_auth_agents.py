"""The whole table of agents and actions, and that each tool is within it."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from agents.roster import ROSTER
from tests.unit.builders import BTC, context
from tools.registry import TOOLS
from trading_core.auth.agents import AGENT_ACTIONS, RUNNER_ACTIONS, AgentName, agent, runner
from trading_core.auth.permissions import Action, Principal
from trading_core.auth.roles import ROLE_ACTIONS
from trading_core.domain.errors import NotPermitted

# Written out by hand, so that a slip in the table is not repeated here. What is not listed no agent may do.
MAY = {
    "market:read": {"market_analysis", "signal", "execution", "rebalancing"},
    "channels:read": {"market_analysis"},
    "portfolio:read": {"signal", "risk", "rebalancing"},
    "orders:read": {"risk", "execution"},
    "risk:read": {"risk", "rebalancing"},
    "record:read": {"signal", "risk"},
    "propose:entry": {"risk"},
    "propose:exit": {"risk"},
    "propose:rebalance": {"rebalancing"},
    "intent:submit": {"execution"},
}
RUNS = {"desk:operate", "portfolio:read", "orders:read", "risk:read", "record:read", "credentials:use"}
MOVES_MONEY = {action for action in Action if action.value.startswith(("propose:", "intent:", "risk:control"))}


@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize("name", get_args(AgentName))
def test_each_agent_may_do_what_the_table_says_and_nothing_else(name: AgentName, action: Action) -> None:
    principal = ROSTER[name].principal("paper")
    assert principal == agent(name, "paper")
    if name in MAY.get(action.value, set()):
        principal.require(action, "paper")
        with pytest.raises(NotPermitted, match=f"'agent:{name}' may not {action.value} on account 'live'"):
            principal.require(action, "live")
    else:
        with pytest.raises(NotPermitted, match=f"'agent:{name}' may not {action.value}"):
            principal.require(action)


@pytest.mark.parametrize("action", Action)
def test_the_runner_keeps_the_desk_going_and_wants_nothing_traded(action: Action) -> None:
    assert runner("paper").may(action, "paper") is (action.value in RUNS)
    assert not runner("paper").may(action, "live")


def test_every_agent_is_in_the_table_and_none_can_be_added_at_run_time() -> None:
    assert set(AGENT_ACTIONS) == set(ROSTER) == set(get_args(AgentName))
    with pytest.raises(TypeError):
        AGENT_ACTIONS["risk"] = frozenset(Action)


def test_the_documentation_shows_the_tables_as_they_are() -> None:
    shown: dict[str, set[str]] = {}
    for line in (Path(__file__).parents[2] / "docs" / "identity.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 6 and cells[0].startswith("`"):
            columns = dict(zip(("admin", "trader", "viewer", "auditor"), cells[1:5], strict=True))
            may = {role for role, cell in columns.items() if cell == "yes"} | {
                name.strip() for name in cells[5].split(",") if name
            }
            shown |= dict.fromkeys(cells[0].replace("`", "").split(", "), may)
    tables = [*ROLE_ACTIONS.items(), *AGENT_ACTIONS.items(), ("runner", RUNNER_ACTIONS)]
    assert shown == {action.value: {name.replace("_", " ") for name, may in tables if action in may} for action in Action}


def test_no_agent_does_two_things_that_must_be_apart() -> None:
    for name, actions in AGENT_ACTIONS.items():
        proposes = {action for action in actions if action.value.startswith("propose:")}
        assert not (proposes and Action.SUBMIT in actions), name
        # What is said outside must not reach whoever can move money.
        assert not (Action.READ_CHANNELS in actions and actions & MOVES_MONEY), name
    assert not RUNNER_ACTIONS & MOVES_MONEY


@pytest.mark.parametrize("tool", sorted(TOOLS))
async def test_a_tool_asks_for_its_action_and_for_no_other(tool: str) -> None:
    needed, arguments = TOOLS[tool].action, {"symbol": BTC} if "symbol" in TOOLS[tool].arguments.model_fields else {}
    asked = context()
    for actions in (frozenset(Action) - {needed}, frozenset({needed})):
        asked.principal = Principal("somebody", actions, frozenset())
        result = (await TOOLS[tool].call(asked, arguments)).result
        refused = "error" in result and f"may not {needed.value}" in str(result["error"])
        assert refused is (needed not in actions)


@pytest.mark.parametrize("name", get_args(AgentName))
async def test_each_tool_answers_the_agents_that_have_it_and_those_alone_that_may(name: AgentName) -> None:
    spec, asked = ROSTER[name], context()
    asked.principal = spec.principal("paper")
    heard = set()
    for tool in TOOLS.values():
        arguments = {"symbol": BTC} if "symbol" in tool.arguments.model_fields else {}
        result = (await tool.call(asked, arguments)).result
        if "may not" not in str(result.get("error", "")):
            heard.add(tool.name)
    assert heard == {tool.name for tool in TOOLS.values() if name in MAY[tool.action.value]}
    assert heard >= {*spec.opening, *spec.tools}
