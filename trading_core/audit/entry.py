"""What is told to the audit trail, and the text it is kept as.

Secrets and models' texts do not belong here: names that look like secrets are masked, texts are cut, and what is too long
altogether is kept as its size and SHA-256. No content makes an entry fail: it must never stop a kill switch.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum, StrEnum
from typing import TYPE_CHECKING

from trading_core.domain.clock import iso, utc

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

NAME_LENGTH = 200  # characters of an actor, a subject's id or a correlation id
TEXT_LENGTH = 500  # characters of a text inside `before` and `after`
CONTENT_BYTES = 8_192  # of `before` or `after` as JSON
DEPTH = 6  # of nesting inside them
MASKED = "(masked)"

_SECRET_NAME = re.compile(
    r"(^|_)(password|passphrase|passwd|secret|secrets|token|credentials?|ciphertext|nonce|authorization)(_|$)|(api|private|master)_?key$",
    re.IGNORECASE,
)


class AuditAction(StrEnum):
    """What can happen, as a noun and what became of it. Rows keep the text, so an action can be retired."""

    RISK_HALTED = "risk.halted"
    RISK_KILLED = "risk.killed"
    RISK_REDUCED = "risk.reduced"
    RISK_RESUMED = "risk.resumed"
    APPROVAL_GIVEN = "approval.given"
    APPROVAL_REFUSED = "approval.refused"
    ORDER_SUBMITTED = "order.submitted"
    ORDER_REFUSED = "order.refused"
    ORDER_UNKNOWN = "order.unknown"
    ORDER_CANCEL_ASKED = "order.cancel_asked"
    ORDER_CLOSED = "order.closed"
    USER_CREATED = "user.created"
    USER_CHANGED = "user.changed"
    USER_DEACTIVATED = "user.deactivated"
    USER_PASSWORD_CHANGED = "user.password_changed"  # noqa: S105  # no password: the name of an event
    USER_SESSIONS_REVOKED = "user.sessions_revoked"
    API_KEY_ISSUED = "api_key.issued"
    API_KEY_REVOKED = "api_key.revoked"
    SETTING_CHANGED = "setting.changed"
    CREDENTIAL_STORED = "credential.stored"
    CREDENTIAL_DELETED = "credential.deleted"
    CREDENTIAL_ROTATED = "credential.rotated"
    BROKER_ADDED = "broker.added"
    BROKER_REMOVED = "broker.removed"
    BROKER_PRODUCTION = "broker.production"
    BROKER_SANDBOX = "broker.sandbox"
    TRANSFER_BOOKED = "transfer.booked"
    SCHEDULE_ADDED = "schedule.added"
    SCHEDULE_CHANGED = "schedule.changed"
    SCHEDULE_DELETED = "schedule.deleted"
    PAUSED = "pause.put"
    UNPAUSED = "pause.lifted"
    AGENT_CHANGED = "agent.changed"
    RUN_CANCELLED = "run.cancelled"
    LOGIN = "user.logged_in"


class SubjectKind(StrEnum):
    """What an entry is about."""

    ACCOUNT = "account"
    INTENT = "intent"
    ORDER = "order"
    USER = "user"
    API_KEY = "api_key"
    SETTING = "setting"
    CREDENTIAL = "credential"
    RUN = "run"
    SCHEDULE = "schedule"
    AGENT = "agent"


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One change, told in the transaction that makes it.

    Attributes:
        actor: name of the principal who did it.
        subject_id: which account, order, user and so on.
        before: what it was, None for something new; `recorded` and `difference` make it from a record.
        after: what it became, None for something that is gone.
        correlation_id: the run or request in which it happened.
    """

    at: datetime
    actor: str
    action: AuditAction
    subject_kind: SubjectKind
    subject_id: str
    before: Mapping[str, object] | None = None
    after: Mapping[str, object] | None = None
    correlation_id: str = ""


def recorded(record: DataclassInstance, *names: str) -> dict[str, object]:
    """A record's fields for `before` or `after`: those named, or all."""
    wanted = names or tuple(item.name for item in fields(record))
    return {name: getattr(record, name) for name in wanted}


def difference(before: DataclassInstance, after: DataclassInstance) -> tuple[dict[str, object], dict[str, object]]:
    """The fields in which two records of one kind differ, as `before` and as `after`."""
    old, new = recorded(before), recorded(after)
    changed = [name for name in old if old[name] != new[name]]
    return {name: old[name] for name in changed}, {name: new[name] for name in changed}


def time_text(instant: datetime) -> str:
    """An instant as the trail keeps it: UTC with six digits of microseconds, so that the text sorts as instants do."""
    return utc(instant).isoformat(timespec="microseconds").replace("+00:00", "Z")


def name_text(text: str, length: int = NAME_LENGTH) -> str:
    """A text on one line that any database and terminal can hold: the unprintable escaped, the end cut off."""
    if not text.isprintable():
        text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[: length + 1])
    return text if len(text) <= length else f"{text[:length]}…"


def content_text(content: Mapping[str, object] | None) -> str | None:
    """`before` or `after` as JSON with sorted keys."""
    if content is None:
        return None
    text = _dumps(_json(content, DEPTH))
    if (size := len(text.encode())) <= CONTENT_BYTES:
        return text
    return _dumps({"left_out": {"bytes": size, "sha256": hashlib.sha256(text.encode()).hexdigest()}})


def _dumps(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _json(value: object, depth: int) -> object:
    """A JSON value for anything; amounts and times become text."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, Enum):  # before text: most of ours are texts too
        return _json(value.value, depth)
    if isinstance(value, str):
        return name_text(value, TEXT_LENGTH)
    if isinstance(value, Decimal):
        return format(value, "f") if value.is_finite() else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, datetime):
        return iso(value) if value.tzinfo else value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    return _nested(value, depth - 1)


def _nested(value: object, depth: int) -> object:
    if depth < 0:
        return "…"
    if is_dataclass(value) and not isinstance(value, type):
        value = recorded(value)
    if isinstance(value, Mapping):
        return {
            name_text(str(name)): MASKED if item is not None and _SECRET_NAME.search(str(name)) else _json(item, depth)
            for name, item in value.items()
        }
    if isinstance(value, set | frozenset):
        return sorted((_json(item, depth) for item in value), key=str)
    if isinstance(value, Collection) and not isinstance(value, bytes | bytearray | memoryview):
        return [_json(item, depth) for item in value]
    return f"({type(value).__name__})"  # bytes, SecretStr and whatever else: their content is not for the record
