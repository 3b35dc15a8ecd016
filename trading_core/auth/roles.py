"""Roles of people, and the one table of what each may do. What is not listed is refused."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from trading_core.auth.permissions import Action


class Role(StrEnum):
    ADMIN = "admin"
    TRADER = "trader"
    VIEWER = "viewer"
    AUDITOR = "auditor"


_LOOK = frozenset(
    {Action.READ_MARKET, Action.READ_CHANNELS, Action.READ_PORTFOLIO, Action.READ_ORDERS, Action.READ_RISK},
)
_TRADE = frozenset(
    {
        Action.PROPOSE_ENTRY,
        Action.PROPOSE_EXIT,
        Action.PROPOSE_STOP,
        Action.PROPOSE_REBALANCE,
        Action.SUBMIT,
        Action.APPROVE,
        Action.CONTROL_RISK,
        Action.OPERATE,
    }
)

# Venue keys are read by the process that trades, and by no person: what is never answered cannot be stolen with a login.
# A trader does not read the audit trail: it tells of what was done about users, and is for those who watch the traders.
ROLE_ACTIONS: Mapping[Role, frozenset[Action]] = MappingProxyType(
    {
        Role.ADMIN: frozenset(Action) - {Action.USE_CREDENTIALS},
        Role.TRADER: _LOOK | {Action.READ_RECORD} | _TRADE,
        Role.VIEWER: _LOOK,
        Role.AUDITOR: _LOOK | {Action.READ_RECORD, Action.READ_AUDIT},
    }
)
