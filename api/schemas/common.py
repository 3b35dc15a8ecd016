"""What all bodies and answers are built on."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer, SecretStr, WithJsonSchema

from trading_core.domain.clock import iso, utc

_AMOUNT = {"type": "string", "pattern": r"^-?\d+(\.\d+)?$", "examples": ["0.125"]}


def _finite(value: Decimal) -> Decimal:
    if not value.is_finite():
        raise ValueError("is no number")
    return value


# An exact decimal number, as text both ways: a JSON number would lose digits on its way through most clients.
Amount = Annotated[
    Decimal, AfterValidator(_finite), PlainSerializer(lambda value: format(value, "f"), return_type=str), WithJsonSchema(_AMOUNT)
]

# An instant with an offset; answers have it in UTC with a Z.
Instant = Annotated[AwareDatetime, AfterValidator(utc), PlainSerializer(iso, return_type=str, when_used="json")]

# A password on its way in. It is shown nowhere, and its rules are the desk's, not the schema's.
Password = Annotated[SecretStr, Field(max_length=1_000)]

AccountIds = Annotated[list[Annotated[str, Field(min_length=1, max_length=100)]], Field(max_length=100)]

Reason = Annotated[str, Field(min_length=1, max_length=500, description="Why. It goes on record.")]


class Body(BaseModel):
    """What a request carries. A field that is not known is refused: it may be one that somebody misspelled."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Answer(BaseModel):
    """What an answer carries."""

    model_config = ConfigDict(extra="forbid", frozen=True, from_attributes=True)


class Done(Answer):
    """Something was done, and there is no more to say. `count` is of what was concerned."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"count": 2}]})

    count: int


def instant_text(instant: datetime | None) -> str | None:
    """The text form that answers use, for places without a schema."""
    return None if instant is None else iso(instant)
