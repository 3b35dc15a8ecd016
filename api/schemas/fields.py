"""Numbers that were worked out: rounded, and as text like every amount."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import Annotated, Any

from pydantic import ConfigDict, PlainSerializer, WithJsonSchema

from trading_core.domain.money import plain

_PATTERN = r"^-?\d+(\.\d+)?$"
_EIGHT, _TWELVE = Decimal("1e-8"), Decimal("1e-12")


def _rounded(value: Decimal, step: Decimal) -> str:
    with localcontext(prec=80):  # whole digits of any amount, and the places
        return plain(value.quantize(step, ROUND_HALF_EVEN))


# Prices, values and profits that were divided or multiplied: as they are up to twelve places.
Derived = Annotated[
    Decimal,
    PlainSerializer(lambda value: _rounded(value, _TWELVE), return_type=str),
    WithJsonSchema({"type": "string", "pattern": _PATTERN, "examples": ["50123.45"]}),
]

# Fractions: 0.05 is 5 %.
Ratio = Annotated[
    Decimal,
    PlainSerializer(lambda value: _rounded(value, _EIGHT), return_type=str),
    WithJsonSchema({"type": "string", "pattern": _PATTERN, "examples": ["0.0475"]}),
]

Seconds = Annotated[
    timedelta,
    PlainSerializer(lambda value: round(value.total_seconds(), 3), return_type=float),
    WithJsonSchema({"type": "number", "examples": [1.25]}),
]


def shown_as(example: Mapping[str, Any]) -> ConfigDict:
    """A model's configuration with an example for the description of the API."""
    return ConfigDict(json_schema_extra={"examples": [dict(example)]})
