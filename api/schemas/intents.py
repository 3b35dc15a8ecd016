"""What was wanted, and what the gate said to it."""

from __future__ import annotations

from pydantic import Field

from api.schemas.common import Amount, Answer, Instant
from api.schemas.fields import shown_as
from trading_core.domain.intents import ApprovalState, Verdict
from trading_core.domain.orders import OrderType, Purpose, Side, TimeInForce

_INTENT: dict[str, object] = {
    "id": "3f2c9d7a51e8460b3f2c9d7a51e8460b3f2c9d7a51e8460b3f2c9d7a51e8460b",
    "run_id": "3f2c9d7a51-20260302T120000Z",
    "proposer": "agent:risk",
    "purpose": "entry",
    "symbol": "BTC/USDT",
    "side": "buy",
    "type": "limit",
    "quantity": "0.25",
    "limit_price": "61500",
    "stop_price": "59800",
    "worst_price": "61500",
    "take_profit": None,
    "time_in_force": "gtc",
    "strategy": "",
    "reason": "Breakout above the 20-bar high [e1a2b3c4d].",
    "evidence": ["e1a2b3c4d"],
    "content_hash": "9b74c9897bac770ffc029102a200c5de9b74c9897bac770ffc029102a200c5de",
    "created_at": "2026-03-02T12:00:00Z",
    "expires_at": None,
    "verdict": "denied",
    "failed": ["max_position"],
    "approval": None,
}
_DECISION: dict[str, object] = {
    "verdict": "denied",
    "decided_at": "2026-03-02T12:00:00Z",
    "checks": [
        {
            "code": "max_position",
            "passed": False,
            "found": "30750",
            "limit": "25210",
            "detail": "the position would be too large",
        }
    ],
}


class CheckOut(Answer):
    """One thing the gate looked at."""

    code: str
    passed: bool
    found: str
    limit: str
    detail: str


class DecisionOut(Answer):
    """One answer of the gate, with every check it made."""

    verdict: Verdict
    decided_at: Instant
    checks: list[CheckOut]


class ApprovalOut(Answer):
    """What a person was asked, and answered."""

    state: ApprovalState
    price: Amount = Field(description="Reference price when it was asked; too far from it the approval does not hold.")
    requested_at: Instant
    expires_at: Instant
    decided_by: str | None
    decided_at: Instant | None
    reason: str


class IntentOut(Answer):
    """What somebody wanted, with the gate's last word."""

    model_config = shown_as(_INTENT)

    id: str
    run_id: str
    proposer: str
    purpose: Purpose
    symbol: str
    side: Side
    type: OrderType
    quantity: Amount
    limit_price: Amount | None
    stop_price: Amount | None
    worst_price: Amount | None
    take_profit: Amount | None
    time_in_force: TimeInForce
    strategy: str
    reason: str
    evidence: list[str] = Field(description="Ids of the tool results that the reason stands on.")
    content_hash: str = Field(description="Over everything that moves money; an approval is bound to it.")
    created_at: Instant
    expires_at: Instant | None
    verdict: Verdict | None = Field(description="The gate's last; null before it was asked.")
    failed: list[str] = Field(description="Codes of the checks that the last decision failed.")
    approval: ApprovalOut | None


class IntentDetailOut(Answer):
    """An intent with every answer of the gate, and the orders it led to."""

    model_config = shown_as({"intent": _INTENT, "decisions": [_DECISION], "orders": []})

    intent: IntentOut
    decisions: list[DecisionOut] = Field(description="Oldest first.")
    orders: list[str] = Field(description="Ids of its orders.")
