"""Column types: what goes in comes out, and what cannot be kept is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateTable
from sqlalchemy.types import TypeDecorator

from trading_core.domain.errors import InvalidInput
from trading_core.domain.orders import Side
from trading_core.persistence.tables import metadata
from trading_core.persistence.types import Exact, JsonText, OneOf, Text, Texts, UtcTime

SQLITE, POSTGRESQL = sqlite.dialect(), postgresql.dialect()

amounts = st.decimals(allow_nan=False, allow_infinity=False)
offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
instants = st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(2200, 1, 1), timezones=offsets)  # noqa: DTZ001 - zones are given, or their absence is the point
# Whatever Python takes for text: with NUL, lone surrogates, and what looks like our own escapes.
any_text = st.text(st.characters(exclude_categories=[]) | st.sampled_from("\0\x10\ud800\udfff01d")) | st.from_regex(
    "\x10[0-9a-f]{3,5}"
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | any_text,
    lambda inner: st.lists(inner) | st.dictionaries(any_text, inner),
    max_leaves=8,
)


def stored(kind: TypeDecorator[object], value: object) -> object:
    return kind.process_bind_param(value, SQLITE)


def through(kind: TypeDecorator[object], value: object) -> object:
    return kind.process_result_value(stored(kind, value), SQLITE)


@given(amounts)
def test_decimals_come_back_equal_and_are_stored_plain(value: Decimal) -> None:
    assert through(Exact(), value) == value
    assert "E" not in str(stored(Exact(), value))


@pytest.mark.parametrize(("text", "kept"), [("1E-18", "0.000000000000000001"), ("0.10", "0.1"), ("-0", "0"), ("1E+3", "1000")])
def test_equal_decimals_have_one_stored_form(text: str, kept: str) -> None:
    assert stored(Exact(), Decimal(text)) == kept


@pytest.mark.parametrize("value", [0.1, 1, "1", Decimal("NaN"), Decimal("Infinity")])
def test_what_is_not_a_finite_decimal_is_refused(value: object) -> None:
    with pytest.raises(InvalidInput, match="finite Decimal"):
        stored(Exact(), value)


@given(instants)
def test_instants_come_back_in_utc(value: datetime) -> None:
    back = through(UtcTime(), value)
    assert back == value
    assert isinstance(back, datetime)
    assert back.tzinfo is UTC


@given(instants, instants)
def test_stored_instants_sort_as_the_instants_do(one: datetime, other: datetime) -> None:
    assert (str(stored(UtcTime(), one)) < str(stored(UtcTime(), other))) == (one < other)


def test_naive_times_are_refused() -> None:
    with pytest.raises(InvalidInput, match="no time zone"):
        stored(UtcTime(), datetime(2025, 1, 1))  # noqa: DTZ001 - zones are given, or their absence is the point


@given(json_values)
def test_json_comes_back_equal(value: object) -> None:
    assert through(JsonText(), value) == value


@pytest.mark.parametrize("value", [Decimal(1), {"at": datetime(2025, 1, 1, tzinfo=UTC)}, [float("nan")], {1, 2}])
def test_what_json_cannot_keep_is_refused(value: object) -> None:
    with pytest.raises(InvalidInput, match="JSON cannot keep"):
        stored(JsonText(), value)


@given(any_text)
def test_any_text_comes_back_and_is_stored_as_every_database_can(value: str) -> None:
    for kind in (Text(), JsonText()):
        assert through(kind, value) == value
        written = str(stored(kind, value))
        assert "\0" not in written
        assert written.encode().decode() == written


@given(any_text, any_text)
def test_different_texts_are_stored_differently(one: str, other: str) -> None:
    assert (stored(Text(), one) == stored(Text(), other)) == (one == other)


def test_text_written_before_there_were_escapes_comes_back_as_it_was() -> None:
    for value in ("plain", "a \x1b[31mred\x1b[0m", "\x10", "\x10zz"):
        assert Text().process_result_value(value, SQLITE) == value


@pytest.mark.parametrize("text", ["1E+131072", "-1E+999999", "1E-16384", "1E-999999999", "1." + "0" * 16383 + "1"])
def test_numbers_that_postgresql_cannot_keep_are_refused_on_both(text: str) -> None:
    for dialect in (SQLITE, POSTGRESQL):
        with pytest.raises(InvalidInput, match="too many digits"):
            Exact().process_bind_param(Decimal(text), dialect)


@pytest.mark.parametrize("text", ["1E+131071", "1E-16383", "0E+999999", "0E-999999"])
def test_the_largest_and_smallest_numbers_are_kept(text: str) -> None:
    assert through(Exact(), Decimal(text)) == Decimal(text)


@given(st.lists(any_text).map(tuple))
def test_texts_come_back_as_a_tuple(value: tuple[str, ...]) -> None:
    assert through(Texts(), value) == value


def test_only_members_of_the_enum_are_written_and_read() -> None:
    kind = OneOf(Side)
    assert through(kind, Side.BUY) is Side.BUY
    assert stored(kind, Side.BUY) == "buy"
    with pytest.raises(ValueError, match="hold"):
        stored(kind, "hold")
    with pytest.raises(ValueError, match="hold"):
        kind.process_result_value("hold", SQLITE)


@pytest.mark.parametrize("kind", [Exact(), UtcTime(), Text(), JsonText(), Texts(), OneOf(Side)])
def test_null_stays_null(kind: TypeDecorator[object]) -> None:
    assert through(kind, None) is None


def test_each_database_gets_its_own_exact_types() -> None:
    fills = metadata.tables["fills"]
    on_sqlite = str(CreateTable(fills).compile(dialect=SQLITE))
    on_postgresql = str(CreateTable(fills).compile(dialect=POSTGRESQL))
    assert "quantity TEXT NOT NULL" in on_sqlite
    assert "sequence INTEGER NOT NULL" in on_sqlite
    assert "symbol TEXT NOT NULL" in on_sqlite
    assert 'symbol TEXT COLLATE "C" NOT NULL' in on_postgresql
    assert 'side TEXT COLLATE "C" NOT NULL' in on_postgresql
    assert "quantity NUMERIC NOT NULL" in on_postgresql
    assert "at TIMESTAMP WITH TIME ZONE NOT NULL" in on_postgresql
    assert "sequence BIGSERIAL NOT NULL" in on_postgresql
    assert "FLOAT" not in on_sqlite + on_postgresql
    for table in metadata.sorted_tables:
        assert str(CreateTable(table).compile(dialect=POSTGRESQL))


def test_postgresql_gets_decimals_and_instants_as_they_are() -> None:
    at = datetime(2025, 1, 1, tzinfo=UTC)
    assert Exact().process_bind_param(Decimal("0.10"), POSTGRESQL) == Decimal("0.10")
    assert UtcTime().process_bind_param(at, POSTGRESQL) is at
    assert UtcTime().process_result_value(at.astimezone(timezone(timedelta(hours=2))), POSTGRESQL) == at
