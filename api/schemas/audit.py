"""The audit trail."""

from __future__ import annotations

import json

from pydantic import ConfigDict, Field, JsonValue

from api.schemas.common import Answer
from trading_core.audit.chain import AuditFault, AuditRow
from trading_core.audit.verify import AuditVerdict


class AuditOut(Answer):
    """One entry, and the hashes that chain it to the others."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "sequence": 41,
                    "at": "2025-03-01T12:00:00.250000Z",
                    "actor": "user:alice",
                    "action": "user.logged_in",
                    "subject_kind": "user",
                    "subject_id": "h3Jd82kslq01",
                    "before": None,
                    "after": {"expires_at": "2025-03-31T12:00:00.250000Z"},
                    "correlation_id": "3f2c9d7a51e8460b",
                    "prev_hash": "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9",
                    "hash": "5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9",
                }
            ]
        }
    )

    sequence: int
    at: str
    actor: str
    action: str
    subject_kind: str
    subject_id: str
    before: JsonValue = None
    after: JsonValue = None
    correlation_id: str = Field(description="The request or run it was made in; `X-Request-ID` of the answer.")
    prev_hash: str
    hash: str

    @classmethod
    def of(cls, row: AuditRow) -> AuditOut:
        return cls(
            sequence=row.sequence,
            at=_clean(row.at),
            actor=_clean(row.actor),
            action=_clean(row.action),
            subject_kind=_clean(row.subject_kind),
            subject_id=_clean(row.subject_id),
            before=_content(row.before),
            after=_content(row.after),
            correlation_id=_clean(row.correlation_id),
            prev_hash=_clean(row.prev_hash),
            hash=_clean(row.hash),
        )


class FaultOut(Answer):
    kind: str
    first: int
    last: int
    detail: str

    @classmethod
    def of(cls, fault: AuditFault) -> FaultOut:
        return cls(kind=fault.kind.value, first=fault.first, last=fault.last, detail=fault.detail)


class VerdictOut(Answer):
    """What came of hashing the whole chain again."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "holds": True,
                    "rows": 1204,
                    "head_sequence": 1204,
                    "head_hash": "5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9",
                    "faults": 0,
                    "found": [],
                }
            ]
        }
    )

    holds: bool
    rows: int
    head_sequence: int | None
    head_hash: str | None = Field(description="Note it down elsewhere, and give it as `anchor` later.")
    faults: int
    found: list[FaultOut] = Field(description="The first of them.")

    @classmethod
    def of(cls, verdict: AuditVerdict, found: list[AuditFault]) -> VerdictOut:
        head = verdict.head
        return cls(
            holds=verdict.holds,
            rows=verdict.rows,
            head_sequence=None if head is None else head.sequence,
            head_hash=None if head is None else _clean(head.hash),
            faults=verdict.faults,
            found=[FaultOut.of(fault) for fault in found],
        )


def _content(text: str | None) -> JsonValue:
    """The JSON of `before` or `after`; the text itself when somebody damaged it."""
    if text is None:
        return None
    try:
        found: JsonValue = json.loads(text)
    except (ValueError, RecursionError):
        return _clean(text)
    return found


def _clean(text: str) -> str:
    """Text that can be sent: bytes of a damaged row that are no UTF-8 are replaced."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
