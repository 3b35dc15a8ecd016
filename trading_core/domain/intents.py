"""What somebody wants, what the gate said, and what a person allowed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from trading_core.domain.money import plain
from trading_core.domain.orders import OrderType, Purpose, Side, TimeInForce

CORE = "core"
"""The actor of what the core does by itself, its own orders among it. No user and no agent has this name."""

VENUE = "venue"
"""The actor of what the venue says. Nor this one."""


def digest(payload: object) -> str:
    """SHA-256 over the one JSON form of `payload` (sorted keys, no spaces, Decimals as plain text)."""
    text = json.dumps(payload, sort_keys=True, separators=(",", ":"), default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: object) -> str:
    if isinstance(value, Decimal):
        return plain(value)
    raise TypeError(f"{type(value).__name__} has no agreed text form")


def make_intent_id(run_id: str, purpose: Purpose, symbol: str, leg: str = "") -> str:
    """The id of an intent, known before anything is sent: the same run, purpose, symbol and leg always give the same id."""
    return hashlib.sha256(f"{run_id}|{purpose.value}|{symbol}|{leg}".encode()).hexdigest()


def make_client_order_id(intent_id: str) -> str:
    """18 characters, letters and digits: the tightest of the six venues' rules (Kraken's free text)."""
    return f"at{intent_id[:16]}"


@dataclass(frozen=True, slots=True)
class TradeIntent:
    """What an agent or an operator wants.

    Attributes:
        proposer: the principal that wants it.
        worst_price: the order may not pay more (buy) or take less (sell); the execution agent may only do better.
        stop_price: where an entry is given up; its protective stop is placed with it.
        evidence: ids of the tool results the reason stands on.
        strategy: the strategy it belongs to, which may have tighter limits; empty for none.
        take_profit: where an entry's holding is sold with profit; of this and the stop, the one that comes first ends the other.
        expires_at: when an order that still works is taken back; None for never.
    """

    intent_id: str
    run_id: str
    account_id: str
    proposer: str
    purpose: Purpose
    symbol: str
    side: Side
    quantity: Decimal
    type: OrderType
    created_at: datetime
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    worst_price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    reason: str = ""
    evidence: tuple[str, ...] = ()
    strategy: str = ""
    take_profit: Decimal | None = None
    expires_at: datetime | None = None

    def __post_init__(self) -> None:
        # A checkpoint knows no tuples and gives back a list.
        object.__setattr__(self, "evidence", tuple(self.evidence))

    @property
    def content_hash(self) -> str:
        """Over everything that moves money; an approval is bound to it. Reason and evidence are not part of it."""
        return digest(
            {
                "intent_id": self.intent_id,
                "account_id": self.account_id,
                "proposer": self.proposer,
                "purpose": self.purpose.value,
                "symbol": self.symbol,
                "side": self.side.value,
                "quantity": self.quantity,
                "type": self.type.value,
                "limit_price": self.limit_price,
                "stop_price": self.stop_price,
                "worst_price": self.worst_price,
                "time_in_force": self.time_in_force.value,
                "strategy": self.strategy,
                "take_profit": self.take_profit,
                "expires_at": self.expires_at.isoformat() if self.expires_at else None,
            }
        )

    @property
    def reduces(self) -> bool:
        """Whether it only takes risk off (spot: every sale does, and the gate refuses to sell more than is held)."""
        return self.side is Side.SELL


class Verdict(StrEnum):
    APPROVED = "approved"
    DENIED = "denied"
    NEEDS_APPROVAL = "needs_approval"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing the gate looked at. `found` and `limit` are numbers as text, so that they can be shown and compared."""

    code: str
    passed: bool
    found: str
    limit: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class RiskDecision:
    """The gate's answer, with every check it made and not only the first that failed."""

    intent_id: str
    verdict: Verdict
    checks: Sequence[Check]
    decided_at: datetime

    @property
    def failed(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if not check.passed)

    @property
    def reason_codes(self) -> tuple[str, ...]:
        return tuple(check.code for check in self.failed)


class ApprovalState(StrEnum):
    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Approval:
    """An operator's answer to one intent, bound to the hash of exactly what was asked.

    `price` is the reference price when it was asked; the approval dies when the market drifts away from it.
    """

    intent_id: str
    content_hash: str
    price: Decimal
    requested_at: datetime
    expires_at: datetime
    state: ApprovalState = ApprovalState.PENDING
    decided_by: str | None = None
    decided_at: datetime | None = None
    reason: str = ""
