"""What the ledger says in numbers, for gauges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from trading_core.domain.orders import OrderState
from trading_core.persistence.records import RunKind, RunState


@dataclass(frozen=True, slots=True)
class AccountFigures:
    """One account as it stands.

    Attributes:
        trading_state: None before its first run.
        equity, cash: at the end of its last run, in `currency`; None before the first.
        worth_at: the instant those are of.
        last_cycle_at: when its last cycle that got done had ended.
        open_runs: those not ended, by kind and state.
        orders: by state, all that it ever had.
        approvals_pending: intents that wait for an operator.
    """

    account_id: str
    venue: str
    currency: str
    trading_state: str | None
    equity: Decimal | None
    cash: Decimal | None
    worth_at: datetime | None
    last_cycle_at: datetime | None
    open_runs: Mapping[tuple[RunKind, RunState], int]
    orders: Mapping[OrderState, int]
    approvals_pending: int
