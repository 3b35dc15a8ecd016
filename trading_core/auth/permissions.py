"""Principals and what they may do. Deny by default: what is not listed is refused."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from trading_core.domain.errors import NotPermitted
from trading_core.domain.intents import CORE, VENUE


class Action(StrEnum):
    """Everything that can be asked of the desk."""

    READ_MARKET = "market:read"
    READ_CHANNELS = "channels:read"
    READ_PORTFOLIO = "portfolio:read"
    READ_ORDERS = "orders:read"
    READ_RISK = "risk:read"
    READ_RECORD = "record:read"
    READ_AUDIT = "audit:read"
    PROPOSE_ENTRY = "propose:entry"
    PROPOSE_EXIT = "propose:exit"
    PROPOSE_STOP = "propose:stop"
    PROPOSE_REBALANCE = "propose:rebalance"
    SUBMIT = "intent:submit"
    APPROVE = "intent:approve"
    CONTROL_RISK = "risk:control"
    OPERATE = "desk:operate"  # its housekeeping: read the venue, book, compare, observe losses, take old entries back
    MANAGE_USERS = "users:manage"
    MANAGE_CREDENTIALS = "credentials:manage"
    USE_CREDENTIALS = "credentials:use"
    MANAGE_BROKERS = "brokers:manage"  # which accounts at venues there are, whether with real money, and what was paid in


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who acts: a user, an agent, a schedule or the person at the machine.

    It is made from a login, a key or a table and handed on by the runtime. No model sees one, so no model output can change it.

    Attributes:
        actions: its scopes; never more than the row of its role.
        accounts: ids of the accounts it may act on.
        role: whose row of the tables `roles` and `agents` that is; `operator` at the machine.
        max_order_notional: its largest order, quote; None for no bound of its own.
    """

    name: str
    actions: frozenset[Action]
    accounts: frozenset[str]
    role: str = ""
    max_order_notional: Decimal | None = None

    def may(self, action: Action, account_id: str | None = None) -> bool:
        return action in self.actions and (account_id is None or account_id in self.accounts)

    def require(self, action: Action, account_id: str | None = None) -> None:
        """Raise unless the action is allowed.

        Raises:
            NotPermitted: naming the principal and the action.
        """
        if not self.may(action, account_id):
            where = f" on account {account_id!r}" if account_id else ""
            next_step = ""
            if action not in self.actions and self.role:  # a key may do less than its user's role
                next_step = f"Ask somebody who may, or use another login or key: this one of role {self.role!r} does not allow it"
            raise NotPermitted(
                f"{self.name!r} may not {action.value}{where}", not_done="Nothing was changed", next_step=next_step
            )


OPERATOR = "operator"  # the role of the person at the machine; no table of roles has it
RUNNER = "runner"  # the name of the process that runs an account


def operator(name: str, *account_ids: str) -> Principal:
    """A person at the command line of the desk's own machine: everything, on these accounts.

    Whoever can write to the machine's files needs no permission of ours; the name is for the record, where nobody else has it:
    the machine's user `core` is `core at the machine`, and a colon, which users, agents and schedules have, becomes a hyphen.
    """
    own = name.replace(":", "-")
    if own.casefold() in (CORE, VENUE, RUNNER):
        own = f"{own} at the machine"
    return Principal(own, frozenset(Action), frozenset(account_ids), role=OPERATOR)
