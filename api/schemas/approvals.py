"""What waits for a person's yes or no."""

from __future__ import annotations

from pydantic import Field

from api.schemas.common import Amount, Answer, Body, Instant, Reason
from api.schemas.fields import Ratio, shown_as
from api.schemas.intents import DecisionOut, IntentOut
from api.services.marks import PricedBy
from trading_core.domain.intents import ApprovalState

_INTENT = IntentOut.model_config["json_schema_extra"]
_APPROVAL: dict[str, object] = {
    "account": "practice",
    "state": "pending",
    "intent": _INTENT["examples"][0] if isinstance(_INTENT, dict) and isinstance(_INTENT["examples"], list) else {},
    "decision": {
        "verdict": "needs_approval",
        "decided_at": "2026-03-02T12:00:00Z",
        "checks": [{"code": "approval_above_notional", "passed": False, "found": "15300", "limit": "10000", "detail": ""}],
    },
    "asked_price": "61200.5",
    "price_now": "61240",
    "moved": "0.00064542",
    "priced_at": "2026-03-02T12:01:00Z",
    "priced_by": "desk",
    "requested_at": "2026-03-02T12:00:00Z",
    "expires_at": "2026-03-02T12:15:00Z",
    "seconds_left": 840.0,
    "decided_by": None,
    "decided_at": None,
    "reason": "",
}


class AnswerBody(Body):
    """Why yes, or why no."""

    model_config = shown_as({"reason": "Within this week's plan"}) | Body.model_config

    reason: Reason


class PendingApprovalOut(Answer):
    """An order that needs a person's yes, exactly as it would be sent."""

    model_config = shown_as(_APPROVAL)

    account: str
    state: ApprovalState
    intent: IntentOut = Field(description="The exact order, and who proposed it.")
    decision: DecisionOut | None = Field(description="The gate's last word, with every check.")
    asked_price: Amount = Field(description="Reference price when it was asked; too far from it a yes does not hold.")
    price_now: Amount | None
    moved: Ratio | None = Field(description="From the one to the other, as a fraction; above zero is up.")
    priced_at: Instant | None
    priced_by: PricedBy | None
    requested_at: Instant
    expires_at: Instant
    seconds_left: float = Field(description="To answer in; 0 when it is answered or too late.")
    decided_by: str | None
    decided_at: Instant | None
    reason: str
