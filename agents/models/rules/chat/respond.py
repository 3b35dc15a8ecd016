"""From a question to tool calls or an answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence

from langchain_core.messages import AIMessage, BaseMessage

from agents.models.rules.chat import about_market, about_orders, about_risk, about_signals
from agents.models.rules.chat.asked import Asked
from agents.models.rules.chat.elsewhere import asks_more, elsewhere
from agents.models.rules.chat.needs import Need
from agents.models.rules.chat.wishes import sounds_like_an_order

SELF = (
    "I am the rules model: no LLM, only published rules that read the desk's record. "
    "I can tell you about positions and exposure, risk and limits, signals and why something was bought or sold, orders, "
    "performance, prices and indicators, and I put orders that you name on cards for you to confirm."
)
NO_FORECASTS = (
    "I do not predict: nothing on record says what comes. I can tell you what is so now, and why the desk did what it did."
)
_FORECASTS = (
    r"\bpredict|\bforecast|\bprice target\b|\bnext (?:week|month|year)\b"
    r"|\bwill .{0,99}\b(?:go|rise|fall|drop|crash|pump|reach|hit|be worth|recover)\b"
    r"|\bgoing to (?:rise|fall|go|drop|crash|moon)\b|\bhow (?:high|low) (?:will|can)\b"
)
_SELF = (
    r"\b(?:who|what) are you\b[\s?!.]*$|\bare you (?:an? )?(?:llm|ai|bot|robot|human|real|language model)\b"
    r"|\b(?:which|what) model\b"
    r"|\bwhat can (?:you|i)\b|\byour strategy\b|^(?:help|hello|hi|hey|good (?:morning|evening|day)|thanks|thank you)\b[\s!.]*$"
)
_ANSWERS: Mapping[str, Callable[[Asked], str | list[Need]]] = {
    "risk": about_risk.answer,
    "signal": about_signals.answer,
    "market_analysis": about_market.answer,
    "execution": about_orders.answer,
    "rebalancing": about_market.weights,
}


def respond(messages: Sequence[BaseMessage], tools: Collection[str]) -> AIMessage | None:
    """What the rules say next in a conversation; None when the messages are none."""
    asked = Asked.read(messages, tools)
    if asked is None or asked.agent not in _ANSWERS:
        return None
    if re.search(_SELF, asked.words):
        return AIMessage(SELF)
    if re.search(_FORECASTS, asked.words) and not (asked.agent == "risk" and asked.asks(about_risk.SUPPOSED)):
        return AIMessage(NO_FORECASTS)
    is_order = asked.agent == "execution" and sounds_like_an_order(asked.words)
    told = None if is_order else elsewhere(asked.words)
    if told and not asks_more(asked.words):
        return AIMessage(told)
    if asked.strangers and asked.agent in ("signal", "market_analysis"):
        return AIMessage(f"This desk does not trade or watch {', '.join(asked.strangers)}, so I know nothing of it.")
    answer = _ANSWERS[asked.agent](asked)
    if isinstance(answer, str):
        return AIMessage(f"{told}\n{answer}" if told else answer)
    calls = [
        {"id": f"rules_{len(messages)}_{at}", "name": need.tool, "args": dict(need.arguments)} for at, need in enumerate(answer)
    ]
    return AIMessage("", tool_calls=calls)
