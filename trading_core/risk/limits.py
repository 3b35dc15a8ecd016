"""The desk's risk limits: what they are, which way each is tightened, and that it can only be tightened.

Fractions are of 1 (`0.02` is 2 %), amounts are in the account's quote currency, times are whole seconds.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from decimal import Decimal
from enum import Enum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from trading_core.domain.errors import ConfigurationError
from trading_core.domain.money import plain

LimitValue = Decimal | int | bool | None


NOT_STARTED = "Trading was not started"


class Tighter(Enum):
    """Which way a limit has to move to allow less."""

    LOWER = "lower"
    HIGHER = "higher"


_Cap = Annotated[Decimal, Field(gt=0, le=1), Tighter.LOWER]
_Floor = Annotated[Decimal, Field(ge=0, le=1), Tighter.HIGHER]
_Amount = Annotated[Decimal, Field(gt=0, le=Decimal("1e15")), Tighter.LOWER]
_Factor = Annotated[Decimal, Field(ge=1, le=1000), Tighter.LOWER]
_Count = Annotated[int, Field(ge=0, le=1_000_000), Tighter.LOWER]
_Age = Annotated[int, Field(ge=0, le=86_400), Tighter.LOWER]
_Wait = Annotated[int, Field(ge=0, le=31_536_000), Tighter.HIGHER]


class Limits(BaseModel):
    """Every number the risk gate compares with. The defaults suit a small spot crypto desk; an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    # order
    max_order_notional: _Amount = Field(Decimal(25_000), description="Largest entry, at the worst price it may pay (quote)")
    approval_above_notional: Annotated[Decimal | None, Field(ge=0), Tighter.LOWER] = Field(
        Decimal(10_000), description='Orders above this need an operator\'s approval (quote); "never" for none'
    )
    approval_lasts_seconds: Annotated[int, Field(ge=1, le=604_800), Tighter.LOWER] = Field(
        14_400, description="How long an operator has to answer, and how long an unused yes holds"
    )
    approval_drift: _Cap = Field(
        Decimal("0.01"), description="Price move since it was asked that ends an approval, both ways (fraction)"
    )
    four_eyes: Annotated[bool, Tighter.HIGHER] = Field(
        False, description="Whether an approval must come from somebody other than the proposer"
    )
    price_collar: _Cap = Field(
        Decimal("0.05"), description="How far a limit or worst price may lie from the reference price, both ways (fraction)"
    )
    market_order_margin: _Floor = Field(
        Decimal("0.05"),
        description="How far above the reference a market buy without a worst price is valued (fraction, at least price_collar)",
    )
    fat_finger_factor: _Factor = Field(
        Decimal(10), description="Largest entry as a multiple of the median quantity of recent orders in its symbol"
    )

    # money
    cash_reserve: _Floor = Field(Decimal("0.05"), description="Cash an entry must leave untouched (fraction of equity)")

    # portfolio
    risk_per_trade: _Cap = Field(
        Decimal("0.02"), description="Most an entry may lose at its stop, fees both ways included (fraction of equity)"
    )
    max_position: _Cap = Field(Decimal("0.25"), description="Largest position, live buys included (fraction of equity)")
    max_exposure: _Cap = Field(Decimal("0.80"), description="All positions together, live buys included (fraction of equity)")
    max_concentration: _Cap = Field(
        Decimal("0.20"), description="Herfindahl index: sum of the squared weights of all positions in equity (fraction)"
    )
    max_correlated_exposure: _Cap = Field(
        Decimal("0.60"),
        description="A position and all others weighted by their correlation with it, unknown counted as 1 (fraction of equity)",
    )
    max_positions: _Count = Field(8, description="Positions at the same time, symbols with live buys included")
    max_open_orders: _Count = Field(50, description="Live orders at the same time, protective stops included")

    # loss
    daily_loss: _Cap = Field(
        Decimal("0.10"), description="Loss since 00:00 UTC at which entries stop (fraction of the day's start)"
    )
    drawdown: _Cap = Field(
        Decimal("0.10"), description="Loss from the equity's peak at which entries stop (fraction of the peak)"
    )
    consecutive_losses: Annotated[int, Field(ge=1, le=1_000), Tighter.LOWER] = Field(
        4, description="Losing trades in a row that start a cool-down"
    )
    cool_down_seconds: _Wait = Field(14_400, description="How long entries wait after the last of those losses")

    # tempo
    orders_per_minute_per_actor: _Count = Field(6, description="Orders of one actor in any 60 seconds")
    orders_per_minute: _Count = Field(20, description="Orders of everybody but the core in any 60 seconds")
    orders_per_day_per_actor: _Count = Field(100, description="Orders of one actor in any 24 hours")
    orders_per_day: _Count = Field(300, description="Orders of everybody but the core in any 24 hours")
    duplicate_window_seconds: _Wait = Field(
        60, description="How long the same symbol, side and quantity under another intent id is taken for a repeat"
    )

    # knowledge
    max_price_age_seconds: _Age = Field(30, description="Oldest ticker a decision may stand on")
    max_account_age_seconds: _Age = Field(60, description="Oldest reading of the account a decision may stand on")
    max_clock_skew_seconds: _Age = Field(2, description="How far a reading's time may lie ahead of the desk's clock")

    @field_validator("*", mode="before")
    @classmethod
    def _exact(cls, value: object, info: ValidationInfo) -> object:
        # Pydantic would take true for 1, 1 for true, and round a float without a word.
        if info.field_name and cls.model_fields[info.field_name].annotation is bool:
            if not isinstance(value, bool) and value not in ("true", "false"):
                raise ValueError("it should be true or false")
        elif isinstance(value, bool | float):
            raise ValueError(f"{value!r} is not an exact number")
        return value

    @field_validator("approval_above_notional", mode="before")
    @classmethod
    def _never(cls, value: object) -> object:
        return None if value == "never" else value

    @model_validator(mode="after")
    def _margin_covers_collar(self) -> Limits:
        if self.market_order_margin < self.price_collar:
            raise ValueError(
                f"market_order_margin {self.market_order_margin} is below price_collar {self.price_collar}: "
                "a market order could cost more than was reserved for it"
            )
        return self


def tightened(base: Limits, override: Mapping[str, object], *, source: str = "override") -> Limits:
    """`base` with an account's or a strategy's own limits, which may only allow less. `source` names them in errors.

    Raises:
        ConfigurationError: a key is not known, a value breaks its bounds, or a value would allow more than `base` does.
    """
    for key in override:
        require_known(key, source)
    changed = validated({**base.model_dump(), **override}, dict.fromkeys(Limits.model_fields, source))
    for key in override:
        before, after = getattr(base, key), getattr(changed, key)
        if is_looser(key, after, before):
            raise ConfigurationError(
                f"{source}: {key} = {written(after)} would allow more than the desk's {written(before)}",
                not_done=NOT_STARTED,
                next_step=f"Give a value that is {direction(key).value} or equal, or leave it out",
            )
    return changed


def direction(key: str) -> Tighter:
    """Which way the limit `key` is tightened."""
    return next(mark for mark in Limits.model_fields[key].metadata if isinstance(mark, Tighter))


def is_looser(key: str, value: LimitValue, than: LimitValue) -> bool:
    """Whether `value` of the limit `key` would allow more. None is no bound at all, which nothing exceeds."""
    if than is None:
        return False
    if value is None:
        return True
    return value > than if direction(key) is Tighter.LOWER else value < than


def written(value: LimitValue) -> str:
    """A limit's value as it stands in a file."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "never" if value is None else plain(Decimal(value))


def require_known(key: str, source: str) -> None:
    """Raises ConfigurationError, with the limit that may have been meant, unless `key` is one."""
    if key in Limits.model_fields:
        return
    closest = difflib.get_close_matches(key, Limits.model_fields, n=1, cutoff=0)[0]
    raise ConfigurationError(f"{source}: {key!r} is not a limit", not_done=NOT_STARTED, next_step=f"Did you mean {closest!r}?")


def validated(values: Mapping[str, object], sources: Mapping[str, str]) -> Limits:
    """The limits, or a ConfigurationError that names the first bad value and where it stands."""
    try:
        return Limits.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        message = first["msg"].removeprefix("Value error, ").replace("Input should", "it should")
        if first["loc"]:
            key = str(first["loc"][0])
            value = values[key]
            message = f"{key} = {value if isinstance(value, Decimal) else repr(value)}: {message}"
            source = sources[key]
        else:
            source = "limits"
        raise ConfigurationError(f"{source}: {message}", not_done=NOT_STARTED, next_step="Mend the value") from None
