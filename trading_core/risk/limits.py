"""The desk's risk limits: what they are, where each value came from, and how one account may be held tighter.

Fractions are of 1 (`0.02` is 2 %), amounts are in the account's quote currency, times are whole seconds.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from trading_core.domain.errors import ConfigurationError

LimitValue = str | int | Decimal | None


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
    orders_per_minute: _Count = Field(20, description="Orders of everybody in any 60 seconds")
    orders_per_day_per_actor: _Count = Field(100, description="Orders of one actor in any 24 hours")
    orders_per_day: _Count = Field(300, description="Orders of everybody in any 24 hours")
    duplicate_window_seconds: _Wait = Field(
        60, description="How long the same symbol, side and quantity under another intent id is taken for a repeat"
    )

    # knowledge
    max_price_age_seconds: _Age = Field(30, description="Oldest ticker a decision may stand on")
    max_account_age_seconds: _Age = Field(60, description="Oldest reading of the account a decision may stand on")
    max_clock_skew_seconds: _Age = Field(2, description="How far a reading's time may lie ahead of the desk's clock")

    @field_validator("*", mode="before")
    @classmethod
    def _exact(cls, value: object) -> object:
        # Pydantic would take true for 1 and round a float without a word.
        if isinstance(value, bool | float):
            raise ValueError(f"{value!r} is not an exact number")  # noqa: TRY004  (Pydantic reports ValueError, not TypeError)
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


@dataclass(frozen=True, slots=True)
class EffectiveLimits:
    """The limits in force and, for each field, where its value came from: `default`, the file's name, or `override`."""

    limits: Limits
    sources: Mapping[str, str]


def load_limits(path: Path | None, overrides: Mapping[str, str] | None = None) -> EffectiveLimits:
    """Defaults, then the TOML file at `path`, then `overrides`.

    Raises:
        ConfigurationError: the file cannot be read, a key is not known, or a value breaks its bounds; one line each.
    """
    sources = dict.fromkeys(Limits.model_fields, "default")
    values: dict[str, object] = {}
    layers: list[tuple[str, Mapping[str, object]]] = []
    if path is not None:
        layers.append((path.name, _read(path)))
    layers.append(("override", overrides or {}))
    for source, layer in layers:
        for key, value in layer.items():
            _known(key, source)
            values[key], sources[key] = value, source
    return EffectiveLimits(_validated(values, sources), sources)


def tightened(base: Limits, override: Mapping[str, LimitValue]) -> Limits:
    """`base` with an account's or a strategy's own limits, which may only allow less.

    Raises:
        ConfigurationError: a key is not known, a value breaks its bounds, or a value would allow more than `base` does.
    """
    for key in override:
        _known(key, "override")
    changed = _validated({**base.model_dump(), **override}, dict.fromkeys(Limits.model_fields, "override"))
    for key in override:
        before, after = getattr(base, key), getattr(changed, key)
        if _loosens(key, before, after):
            raise ConfigurationError(
                f"override: {key} = {after} would allow more than the desk's {before}",
                not_done="No limit was changed",
                next_step=f"Give a value that is {direction(key).value} or equal",
            )
    return changed


def direction(key: str) -> Tighter:
    """Which way the limit `key` is tightened."""
    return next(mark for mark in Limits.model_fields[key].metadata if isinstance(mark, Tighter))


def _loosens(key: str, before: Decimal | int | None, after: Decimal | int | None) -> bool:
    if before is None:  # without a bound: anything is tighter
        return False
    if after is None:
        return True
    return after > before if direction(key) is Tighter.LOWER else after < before


def _read(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except OSError as error:
        raise ConfigurationError(
            f"limits file {path} cannot be read: {error.strerror}", not_done="Trading was not started", next_step="Check the path"
        ) from None
    except ValueError as error:  # TOMLDecodeError and UnicodeDecodeError
        raise ConfigurationError(
            f"limits file {path} is not valid TOML: {error}", not_done="Trading was not started", next_step="Mend the file"
        ) from None


def _known(key: str, source: str) -> None:
    if key in Limits.model_fields:
        return
    closest = difflib.get_close_matches(key, Limits.model_fields, n=1, cutoff=0)[0]
    raise ConfigurationError(
        f"{source}: {key!r} is not a limit", not_done="Trading was not started", next_step=f"Did you mean {closest!r}?"
    )


def _validated(values: Mapping[str, object], sources: Mapping[str, str]) -> Limits:
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
        raise ConfigurationError(f"{source}: {message}", not_done="Trading was not started", next_step="Mend the value") from None
