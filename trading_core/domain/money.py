"""Exact amounts. Everything that is money, a price or a quantity is a `Decimal`; floats are refused."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_HALF_EVEN, Decimal, InvalidOperation

from trading_core.domain.errors import InvalidInput

ZERO = Decimal(0)
ONE = Decimal(1)


def decimal(value: Decimal | int | str, *, name: str = "value") -> Decimal:
    """Parse an exact, finite number.

    Raises:
        InvalidInput: for floats, NaN, infinities and text that is no number.
    """
    if isinstance(value, bool) or not isinstance(value, Decimal | int | str):
        raise InvalidInput(f"{name} is {value!r}, which is not an exact number", next_step="Give it as text or Decimal")
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise InvalidInput(f"{name} is {value!r}, which is not a number") from None
    if not number.is_finite():
        raise InvalidInput(f"{name} is {value!r}, which is not finite")
    return number


def positive(value: Decimal | int | str, *, name: str = "value") -> Decimal:
    """Parse a number that must be above zero."""
    number = decimal(value, name=name)
    if number <= 0:
        raise InvalidInput(f"{name} is {number}, and must be above zero")
    return number


def floor_to(value: Decimal, step: Decimal) -> Decimal:
    """Round down to a multiple of `step` (towards zero)."""
    return (value / step).to_integral_value(ROUND_DOWN) * step


def ceil_to(value: Decimal, step: Decimal) -> Decimal:
    """Round up to a multiple of `step`."""
    return (value / step).to_integral_value(ROUND_CEILING) * step


def round_to(value: Decimal, step: Decimal) -> Decimal:
    """Round to the nearest multiple of `step`, halves to even."""
    return (value / step).to_integral_value(ROUND_HALF_EVEN) * step


def is_multiple(value: Decimal, step: Decimal) -> bool:
    """Whether `value` is an exact multiple of `step`."""
    return value % step == 0


def plain(value: Decimal) -> str:
    """The one text form of a number: no exponent, no trailing zeros. Hashes and storage rely on it."""
    if value == 0:
        return "0"
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


@dataclass(frozen=True, slots=True)
class Money:
    """An amount of one asset."""

    amount: Decimal
    asset: str

    def __post_init__(self) -> None:
        if not self.amount.is_finite():
            raise InvalidInput(f"an amount of {self.asset} is {self.amount}, which is not finite")

    def __str__(self) -> str:
        return f"{plain(self.amount)} {self.asset}"
