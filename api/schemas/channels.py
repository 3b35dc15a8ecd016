"""Sources of readings beside the market, and what they said last."""

from __future__ import annotations

from pydantic import Field

from api.schemas.common import Amount, Answer, Instant
from api.schemas.fields import Seconds, shown_as
from api.services.marks import PricedBy
from data_channels.base import Kind
from data_channels.pacing import BreakerState
from trading_core.domain.market import ReadingState


class SourceOut(Answer):
    """One outside service, now."""

    source: str
    kind: Kind
    state: ReadingState
    reason: str = Field(description="Why it is not live; empty when it is.")
    age: Seconds | None = Field(description="Seconds since its newest reading was published.")
    last_error: str
    last_error_at: Instant | None
    next_ask_at: Instant | None
    breaker: BreakerState
    asked: int = Field(description="Rounds of asking since the desk started.")
    answered: int
    failed: int
    readings: int
    rejected: int


class ReadingOut(Answer):
    """One value of one source."""

    source: str
    name: str
    value: Amount
    unit: str = Field(description="`score` is -1 to 1, `points` 0 to 100.")
    count: int = Field(description="How many observations it stands on.")
    spread: Amount | None = Field(description="Their standard deviation.")
    quality: Amount = Field(description="How far it can be trusted, 0 to 1.")
    observed_at: Instant
    published_at: Instant


class ChannelOut(Answer):
    """All that is known of one kind about one symbol, or why nothing is."""

    kind: str
    symbol: str
    state: ReadingState
    reason: str
    readings: list[ReadingOut]


class ChannelsOut(Answer):
    """How the sources stand, and their last readings by symbol."""

    model_config = shown_as(
        {
            "told_by": "desk",
            "as_of": "2026-03-02T12:00:05Z",
            "sources": [
                {
                    "source": "fear-greed",
                    "kind": "sentiment",
                    "state": "live",
                    "reason": "",
                    "age": 3605.2,
                    "last_error": "",
                    "last_error_at": None,
                    "next_ask_at": "2026-03-02T13:00:00Z",
                    "breaker": "closed",
                    "asked": 12,
                    "answered": 12,
                    "failed": 0,
                    "readings": 2,
                    "rejected": 0,
                }
            ],
            "channels": [
                {
                    "kind": "sentiment",
                    "symbol": "BTC/USDT",
                    "state": "live",
                    "reason": "",
                    "readings": [
                        {
                            "source": "fear-greed",
                            "name": "index",
                            "value": "38",
                            "unit": "points",
                            "count": 1,
                            "spread": None,
                            "quality": "0.8",
                            "observed_at": "2026-03-02T00:00:00Z",
                            "published_at": "2026-03-02T00:00:00Z",
                        }
                    ],
                }
            ],
        }
    )

    told_by: PricedBy | None = Field(description="The desk here, or what the account's last cycle knew; null before the first.")
    as_of: Instant | None
    sources: list[SourceOut] = Field(description="Only the desk itself knows how its sources stand.")
    channels: list[ChannelOut]
