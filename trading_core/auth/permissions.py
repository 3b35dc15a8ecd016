"""Principals and what they may do. Deny by default: what is not listed is refused."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from trading_core.domain.errors import NotPermitted


class Action(StrEnum):
    """Everything that can be asked of the desk."""

    READ_MARKET = "market:read"
    READ_CHANNELS = "channels:read"
    READ_PORTFOLIO = "portfolio:read"
    READ_ORDERS = "orders:read"
    READ_RISK = "risk:read"
    READ_RECORD = "record:read"
    PROPOSE_ENTRY = "propose:entry"
    PROPOSE_EXIT = "propose:exit"
    PROPOSE_STOP = "propose:stop"
    PROPOSE_REBALANCE = "propose:rebalance"
    SUBMIT = "intent:submit"
    APPROVE = "intent:approve"
    CONTROL_RISK = "risk:control"


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who acts: an agent, an operator or a schedule.

    It is handed to a tool by the runtime and never by a model, so no model output can change it.
    """

    name: str
    actions: frozenset[Action]
    accounts: frozenset[str]

    def may(self, action: Action, account_id: str | None = None) -> bool:
        return action in self.actions and (account_id is None or account_id in self.accounts)

    def require(self, action: Action, account_id: str | None = None) -> None:
        """Raise unless the action is allowed.

        Raises:
            NotPermitted: naming the principal and the action.
        """
        if not self.may(action, account_id):
            where = f" on account {account_id!r}" if account_id else ""
            raise NotPermitted(f"{self.name!r} may not {action.value}{where}", not_done="Nothing was changed")


def operator(name: str, account_id: str) -> Principal:
    """A person at the command line of the desk's own machine: everything, on this account."""
    return Principal(name, frozenset(Action), frozenset({account_id}))
