"""Which numbers and instants can be kept, exactly.

Prices and volumes of bars are DECIMAL(38, 18) in DuckDB: up to 20 digits before the point and 18 after it, as many as the
smallest unit of any listed coin has. Values of readings are computed, with 28 significant digits as a rule, and are kept as
written (text in DuckDB, NUMERIC in PostgreSQL): up to 40 digits before the point and 40 after it. A number beyond that is
refused, never rounded. https://duckdb.org/docs/stable/sql/data_types/numeric
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Context, Decimal

from trading_core.domain.clock import iso, utc
from trading_core.domain.errors import InvalidInput

BAR_WHOLE, BAR_PLACES = 20, 18
READING_WHOLE = READING_PLACES = 40
_FIRST, _END = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
_WIDE = Context(prec=200)  # a sum of readings has more digits than any of them


def tidy(value: Decimal) -> Decimal:
    """The same number without trailing zeros and without an exponent: both databases then give back the same digits."""
    if not value:
        return Decimal(0)
    short = value.normalize(_WIDE)
    exponent = short.as_tuple().exponent
    return short.quantize(Decimal(1), context=_WIDE) if isinstance(exponent, int) and exponent > 0 else short


def price(value: Decimal, name: str) -> Decimal:
    """A number of a bar that can be kept.

    Raises:
        InvalidInput: it has too many digits, or is no number.
    """
    return _within(value, name, BAR_WHOLE, BAR_PLACES)


def measured(value: Decimal, name: str) -> Decimal:
    """A number of a reading that can be kept.

    Raises:
        InvalidInput: it has too many digits, or is no number.
    """
    return _within(value, name, READING_WHOLE, READING_PLACES)


def whole(value: int, name: str) -> int:
    """A count that can be kept.

    Raises:
        InvalidInput: it is below zero or above 2⁶³ − 1.
    """
    if not 0 <= value < 1 << 63:
        raise InvalidInput(f"{name} is {value}, and must lie between 0 and 2⁶³ − 1", not_done="Nothing was stored")
    return value


def instant(value: datetime, name: str) -> datetime:
    """An instant that can be kept, in UTC.

    Raises:
        InvalidInput: it has no time zone, or does not lie between 1970 and 2200: then it was read in the wrong unit.
    """
    given = utc(value)
    if not _FIRST <= given < _END:
        raise InvalidInput(f"{name} is {iso(given)}, which does not lie between 1970 and 2200", not_done="Nothing was stored")
    return given


def _within(value: Decimal, name: str, digits: int, places: int) -> Decimal:
    if not value.is_finite():
        raise InvalidInput(f"{name} is {value}, which is not finite", not_done="Nothing was stored")
    if not value:
        return value
    if value.adjusted() < digits:
        exponent = value.as_tuple().exponent
        if isinstance(exponent, int) and exponent < -places:
            exponent = value.normalize(Context(prec=len(value.as_tuple().digits))).as_tuple().exponent
        if isinstance(exponent, int) and exponent >= -places:
            return value
    raise InvalidInput(
        f"{name} is {str(value)[:60]}, which has more than {digits} digits before the point or {places} after it",
        not_done="Nothing was stored",
        next_step="Give it in another unit, or rounded",
    )
