"""What all parts of a scenario file are made of."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[Decimal, Field(ge=0, le=1, allow_inf_nan=False)]
Amount = Annotated[Decimal, Field(ge=0, allow_inf_nan=False)]
Symbol = Annotated[str, Field(pattern=r"^[A-Z0-9]{1,15}/[A-Z0-9]{1,15}$")]
Text = Annotated[str, Field(max_length=2000)]


class Part(BaseModel):
    """A part that never changes and refuses what it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")
