"""The chain by itself: sealing, and which rows a broken chain names."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum

from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from trading_core.audit.chain import GENESIS, AuditFault, AuditHead, AuditRow, ChainCheck, FaultKind, row_hash, seal
from trading_core.audit.entry import (
    CONTENT_BYTES,
    MASKED,
    NAME_LENGTH,
    TEXT_LENGTH,
    AuditAction,
    AuditEntry,
    SubjectKind,
    content_text,
    difference,
    name_text,
    recorded,
)

AT = datetime(2025, 3, 1, 12, 0, 0, 1, tzinfo=UTC)
ENTRY = AuditEntry(
    AT,
    "anna",
    AuditAction.RISK_HALTED,
    SubjectKind.ACCOUNT,
    "paper",
    {"state": "active"},
    {"state": "halted"},
    correlation_id="r1",
)


def chain(length: int) -> list[AuditRow]:
    rows, head = [], AuditHead(0, GENESIS)
    for number in range(length):
        row = seal(replace(ENTRY, at=AT + timedelta(seconds=number), subject_id=f"account-{number}"), head)
        rows.append(row)
        head = AuditHead(row.sequence, row.hash)
    return rows


def head_of(rows: Sequence[AuditRow]) -> AuditHead:
    return AuditHead(rows[-1].sequence, rows[-1].hash) if rows else AuditHead(0, GENESIS)


def faults(rows: Sequence[AuditRow], head: AuditHead | None, anchor: str | None = None) -> list[AuditFault]:
    check = ChainCheck(head, anchor)
    found = [fault for row in rows for fault in check.add(row)]
    return found + check.end()


def named(found: Sequence[AuditFault]) -> list[tuple[FaultKind, int, int]]:
    return [(fault.kind, fault.first, fault.last) for fault in found]


def rehashed(rows: Sequence[AuditRow], start: int) -> list[AuditRow]:
    """Rows from index `start` on numbered and chained again, as somebody who owns the database could."""
    kept = list(rows[:start])
    for row in rows[start:]:
        moved = replace(row, sequence=len(kept) + 1, prev_hash=kept[-1].hash if kept else GENESIS)
        kept.append(replace(moved, hash=row_hash(moved)))
    return kept


def test_the_hash_is_what_the_documentation_says() -> None:
    row = chain(1)[0]
    assert row.prev_hash == "0" * 64
    document = (
        '{"action":"risk.halted","actor":"anna","after":"{\\"state\\":\\"halted\\"}","at":"2025-03-01T12:00:00.000001Z",'
        '"before":"{\\"state\\":\\"active\\"}","correlation_id":"r1","prev_hash":"' + "0" * 64 + '","sequence":1,'
        '"subject_id":"account-0","subject_kind":"account"}'
    )
    assert row.hash == hashlib.sha256(document.encode()).hexdigest()


@given(length=st.integers(0, 12))
def test_an_untouched_chain_holds_under_every_head_it_ever_had(length: int) -> None:
    rows = chain(length)
    for anchor in [None, GENESIS, *(row.hash for row in rows)]:
        assert faults(rows, head_of(rows), anchor) == []


@given(data=st.data(), length=st.integers(1, 8))
def test_one_changed_character_of_any_column_names_that_row_and_no_other(data: st.DataObject, length: int) -> None:
    rows = chain(length)
    index = data.draw(st.integers(0, length - 1))
    column = data.draw(st.sampled_from([field.name for field in fields(AuditRow) if field.name != "sequence"]))
    text = getattr(rows[index], column)
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(exclude_categories=["Cs"]).filter(lambda c: c != text[place]))
    changed = replace(rows[index], **{column: text[:place] + other + text[place + 1 :]})
    found = faults([*rows[:index], changed, *rows[index + 1 :]], head_of(rows))
    assert named(found) == [(FaultKind.CHANGED, index + 1, index + 1)]


@given(data=st.data(), length=st.integers(1, 8))
def test_a_changed_row_does_not_take_an_anchor_away(data: st.DataObject, length: int) -> None:
    rows = chain(length)
    index = data.draw(st.integers(0, length - 1))
    for change in ({"hash": "f" * 64}, {"actor": "mallory"}):
        found = faults([*rows[:index], replace(rows[index], **change), *rows[index + 1 :]], head_of(rows), rows[index].hash)
        assert named(found) == [(FaultKind.CHANGED, index + 1, index + 1)]


@given(data=st.data(), length=st.integers(1, 8))
def test_null_and_empty_are_not_the_same(data: st.DataObject, length: int) -> None:
    rows = chain(length)
    index = data.draw(st.integers(0, length - 1))
    for value in (None, "", "null"):
        found = faults([*rows[:index], replace(rows[index], before=value), *rows[index + 1 :]], head_of(rows))
        assert named(found) == [(FaultKind.CHANGED, index + 1, index + 1)]


@given(data=st.data(), length=st.integers(1, 9))
def test_removed_rows_are_named_wherever_they_stood(data: st.DataObject, length: int) -> None:
    rows = chain(length)
    first = data.draw(st.integers(1, length))
    last = data.draw(st.integers(first, length))
    found = faults(rows[: first - 1] + rows[last:], head_of(rows))
    assert named(found) == [(FaultKind.MISSING, first, last)]


@given(data=st.data(), length=st.integers(2, 8))
def test_a_row_rewritten_with_its_hash_is_named(data: st.DataObject, length: int) -> None:
    rows = chain(length)
    index = data.draw(st.integers(0, length - 1))
    forged = replace(rows[index], actor="mallory")
    forged = replace(forged, hash=row_hash(forged))
    found = faults([*rows[:index], forged, *rows[index + 1 :]], head_of(rows))
    assert named(found) == [(FaultKind.REWRITTEN, index + 1, index + 1)]


@given(data=st.data(), length=st.integers(1, 8))
def test_a_row_put_in_by_moving_the_others_names_it_or_them(data: st.DataObject, length: int) -> None:
    rows = chain(length)
    index = data.draw(st.integers(0, length))
    forged = seal(replace(ENTRY, actor="mallory"), head_of(rows[:index]))
    moved = [replace(row, sequence=row.sequence + 1) for row in rows[index:]]
    found = faults([*rows[:index], forged, *moved], head_of(rows))
    assert found
    assert min(fault.first for fault in found) <= index + 2
    changed = {fault.first for fault in found if fault.kind is FaultKind.CHANGED}
    assert changed == {row.sequence for row in moved}


def test_rows_outside_the_numbers_are_named() -> None:
    rows = chain(3)
    early = seal(replace(ENTRY, actor="mallory"), AuditHead(-1, GENESIS))
    late = seal(replace(ENTRY, actor="mallory"), head_of(rows))
    assert named(faults([early, *rows], head_of(rows))) == [(FaultKind.INSERTED, 0, 0)]
    assert named(faults([*rows, late], head_of(rows))) == [(FaultKind.INSERTED, 4, 4)]


@given(data=st.data(), length=st.integers(1, 8))
def test_a_chain_rewritten_to_its_end_breaks_with_the_head_or_with_an_anchor(data: st.DataObject, length: int) -> None:
    rows = chain(length)
    index = data.draw(st.integers(0, length - 1))
    forged = rehashed([*rows[:index], replace(rows[index], actor="mallory"), *rows[index + 1 :]], index)
    assert named(faults(forged, head_of(rows))) == [(FaultKind.REWRITTEN, length, length)]
    assert faults(forged, head_of(forged)) == []  # whoever owns the database can do this: hence the anchor
    for row in rows[:index]:
        assert faults(forged, head_of(forged), row.hash) == []
    for row in rows[index:]:
        assert named(faults(forged, head_of(forged), row.hash)) == [(FaultKind.ANCHOR_UNKNOWN, length, length)]


@given(data=st.data(), length=st.integers(1, 8))
def test_an_end_cut_off_together_with_the_head_breaks_with_an_anchor(data: st.DataObject, length: int) -> None:
    rows = chain(length)
    kept = rows[: data.draw(st.integers(0, length - 1))]
    assert faults(kept, head_of(kept)) == []
    assert named(faults(kept, head_of(kept), rows[-1].hash)) == [(FaultKind.ANCHOR_UNKNOWN, len(kept), len(kept))]


def test_a_missing_or_changed_head_is_told() -> None:
    rows = chain(3)
    assert named(faults(rows, None)) == [(FaultKind.HEAD_GONE, 3, 3)]
    assert named(faults(rows, AuditHead(3, "f" * 64))) == [(FaultKind.REWRITTEN, 3, 3)]
    assert named(faults([], AuditHead(2, "f" * 64))) == [(FaultKind.MISSING, 1, 2)]


def test_every_fault_of_many_is_named() -> None:
    rows = chain(9)
    touched = [rows[0], replace(rows[1], actor="bob"), rows[2], *rows[4:6], replace(rows[6], hash="0" * 64), rows[7]]
    assert named(faults(touched, head_of(rows))) == [
        (FaultKind.CHANGED, 2, 2),
        (FaultKind.MISSING, 4, 4),
        (FaultKind.CHANGED, 7, 7),
        (FaultKind.MISSING, 9, 9),
    ]


class Colour(Enum):
    RED = 1


@dataclass(frozen=True, slots=True)
class Account:
    name: str
    limit: Decimal
    opened: datetime
    password_hash: str
    note: str = ""


ACCOUNT = Account("paper", Decimal("1E+3"), datetime(2025, 3, 1, 13, tzinfo=timezone(timedelta(hours=1))), "$argon2id$x")


def parsed(content: dict[str, object]) -> object:
    text = content_text(content)
    assert text is not None
    return json.loads(text)


def test_records_become_exact_json_without_secrets() -> None:
    assert parsed(recorded(ACCOUNT)) == {
        "name": "paper",
        "limit": "1000",
        "opened": "2025-03-01T12:00:00Z",
        "password_hash": MASKED,
        "note": "",
    }
    assert parsed(recorded(ACCOUNT, "name")) == {"name": "paper"}
    assert content_text(None) is None


def test_only_what_differs_is_kept() -> None:
    before, after = difference(ACCOUNT, replace(ACCOUNT, limit=Decimal(5), note="lower"))
    assert (parsed(before), parsed(after)) == ({"limit": "1000", "note": ""}, {"limit": "5", "note": "lower"})
    assert difference(ACCOUNT, replace(ACCOUNT, limit=Decimal("1000.0"))) == ({}, {})


def test_secrets_are_masked_by_name_and_by_type_at_every_depth() -> None:
    content = {
        "api_key": "AK1",
        "apiKey": "AK2",
        "nested": [{"refresh_token": "AK3", "Secret": "AK4", "any": SecretStr("AK5")}, Account("a", Decimal(1), AT, "AK6")],
        "raw": b"AK7",
        "password": None,
        "key_id": "k1",
        "content_hash": "h1",
    }
    text = content_text(content)
    assert text is not None
    assert "AK" not in text
    assert json.loads(text)["key_id"] == "k1"
    assert json.loads(text)["content_hash"] == "h1"
    assert json.loads(text)["password"] is None


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.decimals()
    | st.binary()
    | st.datetimes()
    | st.just(Colour.RED),
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5) | st.frozensets(st.text(), max_size=3)
    ),
    max_leaves=30,
)
ANY_TEXT = st.text(st.characters(exclude_categories=[]))


@given(content=st.dictionaries(ANY_TEXT, JSON), text=ANY_TEXT)
def test_anything_can_be_told_and_is_text_that_any_database_holds(content: dict[str, object], text: str) -> None:
    entry = replace(ENTRY, actor=text, subject_id=text, correlation_id=text, after={**content, "t": text})
    row = seal(entry, AuditHead(0, GENESIS))
    assert row.after is not None
    json.loads(row.after)
    assert len(row.after.encode()) <= CONTENT_BYTES
    for value in (row.actor, row.subject_id, row.after):
        assert value.isprintable()
        value.encode()
    assert faults([row], head_of([row])) == []


def test_long_texts_are_cut_and_long_contents_are_kept_as_their_hash() -> None:
    assert name_text("x" * NAME_LENGTH) == "x" * NAME_LENGTH
    assert name_text("x" * (NAME_LENGTH + 1)) == "x" * NAME_LENGTH + "…"
    assert parsed({"reason": "y" * 10_000}) == {"reason": "y" * TEXT_LENGTH + "…"}
    one, other = (parsed({str(n): "z" * 100 for n in range(count)}) for count in (200, 201))
    assert isinstance(one, dict)
    assert one["left_out"]["bytes"] > CONTENT_BYTES
    assert one != other
