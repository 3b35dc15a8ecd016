"""Who talks to an operator: for each agent what it may read for one, its tools and its prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from types import MappingProxyType

from agents.spec import AgentName
from trading_core.auth.permissions import Action, Principal
from trading_core.domain.intents import digest

_LOOK = frozenset({Action.READ_MARKET, Action.READ_PORTFOLIO, Action.READ_ORDERS, Action.READ_RISK, Action.READ_RECORD})
_PROPOSE = frozenset({Action.PROPOSE_ENTRY, Action.PROPOSE_EXIT})

# What each agent may read for an operator. It never reads what that operator may not; the one that hears what strangers say of a
# market still sees no account. Nobody here submits or approves: a conversation ends at a card.
CHAT_ACTIONS: Mapping[AgentName, frozenset[Action]] = MappingProxyType(
    {
        "market_analysis": frozenset({Action.READ_MARKET, Action.READ_CHANNELS}),
        "signal": _LOOK,
        "risk": _LOOK,
        "execution": _LOOK | _PROPOSE,
        "rebalancing": _LOOK,
    }
)


@dataclass(frozen=True)
class ChatSpec:
    """One agent in conversation.

    Attributes:
        opening: tools called before the first model call; those about a symbol once for each symbol that is spoken of.
        tools: what it may call to dig deeper.
        model_calls: most calls for one answer.
        timeout: seconds for one answer, everything included.
    """

    name: AgentName
    opening: tuple[str, ...]
    tools: tuple[str, ...]
    model_calls: int = 6
    timeout: float = 120.0

    @cached_property
    def prompt(self) -> str:
        """The system prompt: its own part, then what all agents share. Nothing that anybody wrote in a conversation is in it."""
        folder = resources.files("agents") / "prompts"
        own, shared = ((folder / f"chat_{name}.md").read_text(encoding="utf-8").strip() for name in (self.name, "shared"))
        return f"{own}\n\n{shared}"

    @cached_property
    def prompt_hash(self) -> str:
        """Over everything the model is told before the conversation."""
        return digest([self.prompt, self.opening, self.tools])

    def principal(self, operator: Principal) -> Principal:
        """The operator, with no more than this agent is for."""
        return Principal(
            operator.name,
            operator.actions & CHAT_ACTIONS[self.name],
            operator.accounts,
            operator.role,
            operator.max_order_notional,
        )


CHAT_ROSTER: Mapping[AgentName, ChatSpec] = MappingProxyType(
    {
        spec.name: spec
        for spec in (
            ChatSpec(
                "market_analysis",
                ("get_ticker", "get_indicators"),
                ("get_ticker", "get_indicators", "get_bars", "get_sentiment", "get_onchain"),
            ),
            ChatSpec(
                "signal",
                ("get_portfolio", "explain_decision"),
                ("explain_decision", "get_position", "get_past_decisions", "get_indicators", "get_performance"),
            ),
            ChatSpec(
                "risk",
                ("get_risk_state", "get_portfolio"),
                (
                    "explain_decision",
                    "what_if",
                    "get_limits",
                    "get_position",
                    "get_performance",
                    "get_correlations",
                    "get_open_orders",
                ),
            ),
            ChatSpec(
                "execution",
                ("get_orders", "get_portfolio"),
                (
                    "propose_order",
                    "get_orders",
                    "get_open_orders",
                    "get_position",
                    "get_ticker",
                    "get_indicators",
                    "get_execution_quality",
                ),
            ),
            ChatSpec("rebalancing", ("get_portfolio", "get_volatilities"), ("get_limits", "get_correlations", "get_position")),
        )
    }
)
