"""The rules model as a chat model: the standard suite, and when it asks for tools."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_tests.unit_tests import ChatModelUnitTests

from agents.answers import Answer, ExecutionPlan, MarketView, RebalancePlan, RiskPlan, Signal
from agents.models.rules import RulesModel
from tools.registry import TOOLS


class TestStandard(ChatModelUnitTests):
    """It binds tools; it answers five schemas and no other, so free structured output is not claimed."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return RulesModel

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {}

    @property
    def has_tool_calling(self) -> bool:
        return True

    @property
    def has_tool_choice(self) -> bool:
        return False

    @property
    def has_structured_output(self) -> bool:
        return False


SCHEMAS: dict[type[Answer], tuple[str, ...]] = {
    MarketView: ("get_ticker", "get_indicators"),
    Signal: ("get_market_view", "get_ticker", "get_indicators", "get_position"),
    RiskPlan: ("get_proposals", "get_portfolio", "get_limits", "get_correlations"),
    ExecutionPlan: ("get_approved_orders",),
    RebalancePlan: ("get_volatilities", "get_limits"),
}


def asked(schema: type[Answer]) -> dict[str, Any]:
    """How LangChain tells a model which schema to answer in."""
    return {"type": "json_schema", "json_schema": {"name": schema.__name__, "schema": schema.model_json_schema()}}


def call(schema: type[Answer], messages: list[BaseMessage]) -> AIMessage:
    bound = RulesModel().bind_tools([tool.as_langchain() for tool in TOOLS.values()], response_format=asked(schema))
    return bound.invoke(messages)


def result(tool: str, **values: object) -> ToolMessage:
    return ToolMessage(json.dumps({"evidence": "e0000000a", **values}), tool_call_id=tool, name=tool)


ABOUT_BTC = result("get_sentiment", symbol="BTC/USDT", available=False)


@pytest.mark.parametrize("schema", list(SCHEMAS), ids=lambda schema: schema.__name__)
def test_it_asks_once_for_what_is_missing_and_then_abstains(schema: type[Answer]) -> None:
    conversation: list[BaseMessage] = [HumanMessage("Decide."), ABOUT_BTC]
    said = call(schema, conversation)
    assert [made["name"] for made in said.tool_calls] == list(SCHEMAS[schema])
    for made in said.tool_calls:
        takes_symbol = "symbol" in TOOLS[made["name"]].arguments.model_fields
        assert made["args"] == ({"symbol": "BTC/USDT"} if takes_symbol else {})
    assert len({made["id"] for made in said.tool_calls}) == len(said.tool_calls)
    failed = [
        ToolMessage('{"evidence":"e0000000b","error":"out of reach"}', tool_call_id=m["id"], name=m["name"])
        for m in said.tool_calls
    ]
    again = call(schema, [*conversation, said, *failed])
    assert again.tool_calls == []
    assert schema.model_validate_json(again.text).abstained


@pytest.mark.parametrize("schema", list(SCHEMAS), ids=lambda schema: schema.__name__)
def test_without_the_tools_on_offer_it_abstains_at_once(schema: type[Answer]) -> None:
    said = RulesModel().bind(response_format=asked(schema)).invoke([HumanMessage("Decide."), ABOUT_BTC])
    assert isinstance(said, AIMessage)
    assert said.tool_calls == []
    assert schema.model_validate_json(said.text).abstained


@pytest.mark.parametrize("schema", [MarketView, Signal])
def test_without_a_subject_it_asks_for_nothing(schema: type[Answer]) -> None:
    said = call(schema, [HumanMessage("Decide about BTC/USDT.")])
    assert said.tool_calls == []
    assert schema.model_validate_json(said.text).abstained


@pytest.mark.parametrize("content", ["Error: no such tool", "5", "[1]", "null", "", '{"evidence": null, "available": false}'])
@pytest.mark.parametrize("schema", list(SCHEMAS), ids=lambda schema: schema.__name__)
def test_tool_results_it_cannot_read_count_as_unavailable(schema: type[Answer], content: str) -> None:
    results = [ToolMessage(content, tool_call_id=tool, name=tool) for tool in SCHEMAS[schema]]
    said = call(schema, [HumanMessage("Decide."), *results])
    assert schema.model_validate_json(said.text).abstained


def test_the_newest_result_of_a_tool_counts() -> None:
    old, new = result("get_approved_orders", orders=[{"symbol": "A/B", "side": "sell"}]), result("get_approved_orders", orders=[])
    plan = ExecutionPlan.model_validate_json(call(ExecutionPlan, [HumanMessage("Decide."), old, new]).text)
    assert plan.orders == []


async def test_it_says_what_it_is_when_asked_anything_else() -> None:
    said = await RulesModel().ainvoke("What is the weather?")
    assert "no LLM" in said.text
    assert said.text == RulesModel().invoke("Buy everything").text


async def test_the_same_conversation_has_the_same_answer() -> None:
    conversation = [HumanMessage("Decide."), result("get_approved_orders", orders=[{"symbol": "A/B", "side": "sell"}])]
    bound = RulesModel().bind(response_format=asked(ExecutionPlan))
    assert (await bound.ainvoke(conversation)).text == bound.invoke(conversation).text
