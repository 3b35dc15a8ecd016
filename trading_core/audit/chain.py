"""The chain: how a row is sealed, and how a broken chain shows which rows were touched.

A row's hash is SHA-256 over the canonical JSON of all its other columns as they are stored, the previous row's hash among them:
an object with sorted keys, no white space, UTF-8 (for texts and integers the form of RFC 8785). Row 1 follows `GENESIS`.
Since each hash depends on every row before it, whoever knows one hash can prove everything up to it (S. Haber, W. S. Stornetta,
"How to time-stamp a digital document", Journal of Cryptology 3, 1991).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum

from trading_core.audit.entry import AuditEntry, content_text, name_text, time_text

GENESIS = "0" * 64  # what the first row follows; no SHA-256 of anything is known to be this


@dataclass(frozen=True, slots=True)
class AuditHead:
    """The newest row's number and hash; 0 and `GENESIS` before the first."""

    sequence: int
    hash: str


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One row as it is stored. `before` and `after` are JSON; `at` is ISO 8601 in UTC."""

    sequence: int
    at: str
    actor: str
    action: str
    subject_kind: str
    subject_id: str
    before: str | None
    after: str | None
    correlation_id: str
    prev_hash: str
    hash: str


class FaultKind(StrEnum):
    """What was done to a row, as far as the chain can tell."""

    CHANGED = "changed"  # its content and its hash do not belong together
    REWRITTEN = "rewritten"  # they do, but the next row was chained to another one
    MISSING = "missing"
    INSERTED = "inserted"
    HEAD_GONE = "head gone"
    ANCHOR_UNKNOWN = "anchor unknown"


@dataclass(frozen=True, slots=True)
class AuditFault:
    """One finding, about the rows `first` to `last`."""

    kind: FaultKind
    first: int
    last: int
    detail: str

    def __str__(self) -> str:
        rows = f"row {self.first}" if self.first == self.last else f"rows {self.first} to {self.last}"
        return f"{rows}: {self.kind.value}, {self.detail}"


def row_hash(row: AuditRow) -> str:
    """What a row's hash must be."""
    content = {
        "sequence": row.sequence,
        "at": row.at,
        "actor": row.actor,
        "action": row.action,
        "subject_kind": row.subject_kind,
        "subject_id": row.subject_id,
        "before": row.before,
        "after": row.after,
        "correlation_id": row.correlation_id,
        "prev_hash": row.prev_hash,
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    # A row that somebody damaged may hold bytes that are no UTF-8: it must be hashed too, and not match.
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def seal(entry: AuditEntry, head: AuditHead) -> AuditRow:
    """The row that `entry` makes behind `head`."""
    values = (
        head.sequence + 1,
        time_text(entry.at),
        name_text(entry.actor),
        name_text(entry.action),
        name_text(entry.subject_kind),
        name_text(entry.subject_id),
        content_text(entry.before),
        content_text(entry.after),
        name_text(entry.correlation_id),
        head.hash,
    )
    return AuditRow(*values, hash=row_hash(AuditRow(*values, hash="")))


class ChainCheck:
    """Reads a chain row by row, by rising sequence, in constant memory.

    Args:
        head: what the database says the newest row is; None when that is gone.
        anchor: a hash that was noted down earlier and must still be part of the chain.
    """

    def __init__(self, head: AuditHead | None, anchor: str | None = None) -> None:
        self.rows = 0
        self._head, self._anchor = head, anchor
        self._anchored = anchor in (None, GENESIS)
        self._last = 0
        self._hash = GENESIS  # what the next row must be chained to
        self._intact = True  # whether that is the hash of the last row's content; if not, the row was named already

    def add(self, row: AuditRow) -> list[AuditFault]:
        """The next row; what it shows to be wrong with itself or with rows before it."""
        self.rows += 1
        if row.sequence < 1:
            return [_fault(FaultKind.INSERTED, row.sequence, "it stands before the first row")]
        faults = []
        expected, digest = self._last + 1, row_hash(row)
        intact = digest == row.hash
        if row.sequence > expected:
            faults.append(_fault(FaultKind.MISSING, expected, f"row {row.sequence} is the next one there", row.sequence - 1))
        elif intact and self._intact and row.prev_hash != self._hash:
            # Its own hash covers the link, so it is the row before that is not what it was.
            beginning = row.sequence == 1
            detail = "it does not follow the genesis hash" if beginning else f"row {row.sequence} was chained to another hash"
            faults.append(_fault(FaultKind.REWRITTEN, row.sequence if beginning else self._last, detail))
        if not intact:
            faults.append(_fault(FaultKind.CHANGED, row.sequence, "its hash does not belong to its content"))
        self._last, self._intact, self._hash = row.sequence, intact, row.hash
        self._anchored = self._anchored or self._anchor in (row.hash, digest)
        return faults

    def end(self) -> list[AuditFault]:
        """After the last row: what the head and the anchor show."""
        faults = []
        head, last = self._head, self._last
        if head is None:
            faults.append(
                _fault(FaultKind.HEAD_GONE, last, "the head is gone: whether rows behind it are cut off cannot be seen")
            )
        elif head.sequence > last:
            faults.append(_fault(FaultKind.MISSING, last + 1, f"the head stands at row {head.sequence}", head.sequence))
        elif head.sequence < last:
            detail = f"the head stands at row {head.sequence}"
            faults.append(_fault(FaultKind.INSERTED, head.sequence + 1, detail, last))
        elif self._intact and head.hash != self._hash:
            faults.append(_fault(FaultKind.REWRITTEN, last, f"the head holds another hash, {head.hash}"))
        if not self._anchored:
            detail = f"no row up to here has the hash {self._anchor}: rows were cut off or rewritten since it was noted"
            faults.append(_fault(FaultKind.ANCHOR_UNKNOWN, last, detail))
        return faults


def _fault(kind: FaultKind, first: int, detail: str, last: int | None = None) -> AuditFault:
    return AuditFault(kind, first, first if last is None else last, detail)
