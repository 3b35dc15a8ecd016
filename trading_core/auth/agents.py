"""The one table of what each agent may do, and the process that runs them. What is not listed is refused.

Least privilege: an agent that reads text from outside holds no order action, only one agent may submit, none may approve, and
nobody who proposes may submit. A model that is taken over can therefore ask for what its own agent is for and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from trading_core.auth.permissions import RUNNER, Action, Principal

AgentName = Literal["market_analysis", "signal", "risk", "execution", "rebalancing"]

AGENT_ACTIONS: Mapping[AgentName, frozenset[Action]] = MappingProxyType(
    {
        # Markets and what is said about them; not even what the account holds.
        "market_analysis": frozenset({Action.READ_MARKET, Action.READ_CHANNELS}),
        "signal": frozenset({Action.READ_MARKET, Action.READ_PORTFOLIO, Action.READ_RECORD}),
        # It gives a signal its size, so it is the one that proposes what signals want.
        "risk": frozenset(
            {
                Action.READ_RISK,
                Action.READ_PORTFOLIO,
                Action.READ_ORDERS,
                Action.READ_RECORD,
                Action.PROPOSE_ENTRY,
                Action.PROPOSE_EXIT,
            }
        ),
        # Submitting is asking: the desk sends what the gate has approved and still approves.
        "execution": frozenset({Action.READ_MARKET, Action.READ_ORDERS, Action.SUBMIT}),
        "rebalancing": frozenset({Action.READ_MARKET, Action.READ_PORTFOLIO, Action.READ_RISK, Action.PROPOSE_REBALANCE}),
    }
)

# The process that runs cycles and watches the venue. It wants nothing traded, so it may not propose, approve or submit.
RUNNER_ACTIONS = frozenset(
    {Action.OPERATE, Action.READ_PORTFOLIO, Action.READ_ORDERS, Action.READ_RISK, Action.READ_RECORD, Action.USE_CREDENTIALS}
)


def agent(name: AgentName, account_id: str) -> Principal:
    """An agent at work on one account."""
    return Principal(f"agent:{name}", AGENT_ACTIONS[name], frozenset({account_id}), role=name)


def runner(account_id: str) -> Principal:
    """The process that runs one account: its cycles, schedules and watching, and no opinion of its own."""
    return Principal(RUNNER, RUNNER_ACTIONS, frozenset({account_id}), role=RUNNER)
