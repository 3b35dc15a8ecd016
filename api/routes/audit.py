"""The audit trail: who changed what, when, and whether the record still holds together."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query

from api.http.dependencies import State, allowed
from api.http.pages import Page, PageQuery
from api.http.problems import NotFound
from api.schemas.audit import AuditOut, VerdictOut
from api.schemas.common import Instant
from trading_core.audit.chain import AuditFault
from trading_core.audit.verify import audit_trail, verify_audit
from trading_core.auth.permissions import Action, Principal
from trading_core.domain.errors import InvalidInput
from trading_core.persistence.repositories.audit import AuditFilter

router = APIRouter(prefix="/audit", tags=["audit"])

MOST_VERIFIED = 100_000  # rows that one request may have hashed
MOST_SHOWN = 20  # findings
Auditor = Annotated[Principal, allowed(Action.READ_AUDIT)]


@router.get("", summary="List audit entries")
async def list_entries(
    state: State,
    who: Auditor,
    page: PageQuery,
    actor: Annotated[str | None, Query(min_length=1, max_length=200, description="Who did it.", examples=["user:alice"])] = None,
    action: Annotated[
        str | None, Query(min_length=1, max_length=200, description="What was done.", examples=["user.logged_in"])
    ] = None,
    subject_id: Annotated[str | None, Query(min_length=1, max_length=200, description="The id of what it was done to.")] = None,
    since: Annotated[Instant | None, Query(description="From this instant on.")] = None,
    until: Annotated[Instant | None, Query(description="Before this instant.")] = None,
) -> Page[AuditOut]:
    """Newest first, of one actor, action or subject if asked for."""
    wanted = AuditFilter(since, until, actor, action, subject_id)
    async with audit_trail(who, state.database) as trail:
        rows = await trail.newest(page.wanted, wanted, page.after_number())
    return page.page(rows, lambda row: (row.sequence,), AuditOut.of)


@router.get("/verify", summary="Prove the audit trail")
async def verify_trail(
    state: State,
    who: Auditor,
    anchor: Annotated[
        str | None, Query(max_length=64, pattern="^[0-9A-Fa-f]{64}$", description="A head's hash that was noted down earlier.")
    ] = None,
) -> VerdictOut:
    """Hash every row again, for one caller at a time. Up to 100,000 rows; `algotrendy audit verify` takes any number."""
    async with audit_trail(who, state.database) as trail:
        head = await trail.head()
    if head is not None and head.sequence > MOST_VERIFIED:
        raise InvalidInput(
            f"the trail has {head.sequence:,} entries, more than one request may have verified",
            not_done="Nothing was verified",
            next_step="Run `algotrendy audit verify` on the desk's machine",
        )
    found: list[AuditFault] = []

    def note(fault: AuditFault) -> None:
        if len(found) < MOST_SHOWN:
            found.append(fault)

    async with state.proving:
        return VerdictOut.of(await verify_audit(who, state.database, note, anchor=anchor), found)


@router.get("/{sequence}", summary="Show an audit entry")
async def show_entry(
    state: State, who: Auditor, sequence: Annotated[int, Path(ge=1, le=2**62, description="Its number.")]
) -> AuditOut:
    """One entry, by its number."""
    async with audit_trail(who, state.database) as trail:
        row = await trail.get(sequence)
    if row is None:
        raise NotFound(f"no audit entry has the number {sequence}", next_step="List the entries")
    return AuditOut.of(row)
