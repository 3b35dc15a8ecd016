"""Accounts at venues. Keys go in and are used; nothing answers them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SecretStr

from api.schemas.common import Answer, Body, Instant, Reason
from api.schemas.fields import shown_as
from trading_core.brokers.breaker import BreakerState
from trading_core.secrets.credentials import LONGEST_KEY

Secret = Annotated[SecretStr, Field(min_length=1, max_length=LONGEST_KEY)]

_BROKER: dict[str, object] = {
    "id": "binance-main",
    "venue": "binance",
    "title": "Binance",
    "production": False,
    "url": None,
    "keys_stored": True,
    "open_here": False,
    "created_at": "2026-03-02T08:00:00Z",
    "created_by": "user:olga",
}


class BrokerOut(Answer):
    """An account at a venue that the desk may open."""

    model_config = shown_as(_BROKER)

    id: str
    venue: str
    title: str = Field(description="The venue's name.")
    production: bool = Field(description="Whether the money is real.")
    url: str | None = Field(description="Another host that speaks the venue's API.")
    keys_stored: bool
    open_here: bool = Field(description="Whether the process that answers has it open.")
    created_at: Instant
    created_by: str


class AddBroker(Body):
    """A new account at a venue: without real money at first."""

    model_config = shown_as({"id": "binance-main", "venue": "binance", "url": None})

    id: str = Field(max_length=40, description="Its name in the ledger: a-z, 0-9, - and _.")
    venue: str = Field(max_length=40, description="binance, bybit, okx, coinbase, kraken or cryptocom.")
    url: str | None = Field(default=None, max_length=300, description="Another host that speaks the venue's API.")


class SetProduction(Body):
    """Real money, or none. Only an account that has not traded yet can be switched; it is audited."""

    model_config = shown_as({"production": True, "confirm": "binance-main", "reason": "Sandbox trials are over."})

    production: bool
    confirm: str = Field(max_length=40, description="The account's id once more: real money can be lost.")
    reason: Reason


class PutKeys(Body):
    """The keys that a venue gave for an account, in place of earlier ones."""

    model_config = shown_as({"api_key": "…", "secret": "…", "passphrase": None})

    api_key: Secret
    secret: Secret
    passphrase: Secret | None = Field(default=None, description="The third key of OKX.")


class KeysOut(Answer):
    """That keys are stored, and nothing of them."""

    model_config = shown_as({"account": "binance-main", "venue": "binance", "keys_stored": True})

    account: str
    venue: str
    keys_stored: bool


class CallLatency(Answer):
    """How long calls took, milliseconds."""

    p50: float
    p90: float
    p99: float
    worst: float
    count: int


class BrokerHealthOut(Answer):
    """How the connection to the account's venue is doing, as the desk that uses it knows: no venue is asked for it."""

    model_config = shown_as(
        {
            "account": "practice",
            "venue": "paper",
            "is_paper": True,
            "healthy": True,
            "known_at": "2026-03-02T12:00:03Z",
            "disagreement": "",
            "breaker": None,
            "breaker_reason": "",
            "latency": {},
            "checked_at": "2026-03-02T12:00:05Z",
        }
    )

    account: str
    venue: str
    is_paper: bool
    healthy: bool = Field(description="It was read lately, agrees with the ledger, and its calls do not fail.")
    known_at: Instant | None = Field(description="When the venue last confirmed the account; null before the first reading.")
    disagreement: str = Field(description="In what ledger and venue differ; while they do, nothing is entered.")
    breaker: BreakerState | None = Field(description="Null for the paper exchange, which cannot fail to answer.")
    breaker_reason: str
    latency: dict[str, CallLatency] = Field(description="Of the newest calls, by kind: read, place, cancel.")
    checked_at: Instant
