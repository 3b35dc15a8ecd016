"""The limits that bind an account."""

from __future__ import annotations

from pydantic import Field

from api.schemas.common import Answer
from api.schemas.fields import shown_as

_LIMIT: dict[str, object] = {
    "name": "max_position",
    "value": "0.25",
    "source": "desk",
    "tighter": "lower",
    "description": "Largest position, live buys included (fraction of equity)",
}


class LimitOut(Answer):
    """One limit."""

    model_config = shown_as(_LIMIT)

    name: str
    value: str = Field(description="A number as text, `true`, `false`, or `never` for no bound.")
    source: str = Field(description="`desk` for what binds everybody, else the account's or strategy's table that is tighter.")
    tighter: str = Field(description="Which way it is tightened: `lower` or `higher`.")
    description: str


class LimitsOut(Answer):
    """Every limit in force. They are given when the desk is started, and nobody can change one through the API."""

    model_config = shown_as({"account": "practice", "strategy": "", "told_by": "desk", "limits": [_LIMIT]})

    account: str
    strategy: str
    told_by: str = Field(description="`desk` in this process, or the account's `last session` on record.")
    limits: list[LimitOut]
