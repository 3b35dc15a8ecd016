"""Accounts of the ledger."""

from __future__ import annotations

from pydantic import Field

from api.schemas.common import Amount, Answer, Instant
from api.schemas.fields import shown_as


class AccountOut(Answer):
    """An account that the caller may act on."""

    model_config = shown_as(
        {
            "id": "practice",
            "venue": "paper",
            "currency": "USDT",
            "deposit": "100000",
            "opened_at": "2026-03-02T08:00:00Z",
            "desk_here": True,
            "generated_prices": True,
            "real_money": False,
        }
    )

    id: str
    venue: str = Field(description="`paper` for the desk's own exchange, else ccxt's id of the venue.")
    currency: str = Field(description="What equity is told in.")
    deposit: Amount = Field(description="What it was opened with.")
    opened_at: Instant
    desk_here: bool = Field(description="Whether the process that answers runs it. Runs are worked on by whichever process does.")
    generated_prices: bool | None = Field(description="Whether its market is invented; null where no desk here can tell.")
    real_money: bool = Field(description="Whether what it trades with can be lost.")
