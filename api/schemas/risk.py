"""Whether an account may trade, what it has lost, and an operator's hand on it."""

from __future__ import annotations

from datetime import date

from pydantic import Field

from api.schemas.common import Amount, Answer, Body, Instant, Reason
from api.schemas.fields import Derived, Ratio, shown_as
from api.schemas.portfolio import Priced
from trading_core.risk.state import TradingState, Withdrawal


class ChangeState(Body):
    """Why the trading state is to change."""

    model_config = shown_as({"reason": "The venue announced a maintenance window."})

    reason: Reason


class Kill(ChangeState):
    """The kill switch."""

    model_config = shown_as({"reason": "Prices look wrong everywhere.", "stops_too": False})

    stops_too: bool = Field(
        default=False, description="Take protective stops back as well: holdings then stand bare until somebody resumes."
    )


class LimitUseOut(Answer):
    """How much of a limit is used."""

    name: str
    unit: str
    used: Derived | None = Field(description="Null while a price is missing.")
    limit: Amount
    share: Ratio | None = Field(description="Of the limit; 1 is all of it.")


class RiskOut(Priced):
    """The account's risk, now."""

    model_config = shown_as(
        {
            "priced_at": "2026-03-02T12:00:05Z",
            "priced_by": "desk",
            "account": "practice",
            "state": "active",
            "reason": "",
            "changed_by": "core",
            "changed_at": "2026-03-02T08:00:00Z",
            "withdrawal": "none",
            "equity": "100842.3",
            "peak_equity": "101020.7",
            "drawdown": "0.001766",
            "day": "2026-03-02",
            "day_start_equity": "100000",
            "lost_today": "0",
            "consecutive_losses": 1,
            "last_loss_at": "2026-03-02T10:00:02Z",
            "cools_until": None,
            "live_orders": 2,
            "limits_used": [
                {"name": "max_exposure", "unit": "fraction of equity", "used": "0.15621", "limit": "0.80", "share": "0.1952625"}
            ],
        }
    )

    account: str
    state: TradingState
    reason: str = Field(description="Why it is in this state; empty from the start.")
    changed_by: str = Field(description="`core`, or the operator behind the state.")
    changed_at: Instant
    withdrawal: Withdrawal = Field(description="What the kill switch has taken back, until the state changes.")
    equity: Derived | None
    peak_equity: Amount = Field(description="Highest since the account was opened or last resumed.")
    drawdown: Ratio | None = Field(description="Fraction below that.")
    day: date = Field(description="The UTC day that the day's start belongs to.")
    day_start_equity: Amount
    lost_today: Ratio | None = Field(description="Fraction of the day's start; 0 for a gain.")
    consecutive_losses: int
    last_loss_at: Instant | None
    cools_until: Instant | None = Field(description="Until when entries wait after losses in a row; null when they do not.")
    live_orders: int = Field(description="Orders that may still trade.")
    limits_used: list[LimitUseOut] = Field(
        description="As far as they can be told outside the gate, which decides; empty when not known."
    )


class RiskStateOut(Answer):
    """The trading state after a change."""

    model_config = shown_as(
        {
            "account": "practice",
            "state": "halted",
            "reason": "The venue announced a maintenance window.",
            "changed_by": "user:olga",
            "changed_at": "2026-03-02T12:00:05Z",
            "withdrawal": "none",
            "live_orders": 2,
        }
    )

    account: str
    state: TradingState
    reason: str
    changed_by: str
    changed_at: Instant
    withdrawal: Withdrawal
    live_orders: int = Field(
        description="Orders that may still trade. After a kill the desk that has the venue takes them back within seconds: "
        "look again."
    )


class RiskChangeOut(Answer):
    """One change of the trading state."""

    model_config = shown_as(
        {
            "at": "2026-03-02T12:00:05Z",
            "from_state": "active",
            "to_state": "halted",
            "by": "user:olga",
            "reason": "The venue announced a maintenance window.",
        }
    )

    at: Instant
    from_state: TradingState
    to_state: TradingState
    by: str
    reason: str
