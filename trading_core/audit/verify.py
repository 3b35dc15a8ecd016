"""Proving the trail of a database: every row hashed again, in one consistent view, while the desk goes on writing."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from trading_core.audit.chain import AuditFault, AuditHead, ChainCheck
from trading_core.auth.permissions import Action, Principal
from trading_core.domain.errors import InvalidInput
from trading_core.persistence.repositories.audit import AuditRepository
from trading_core.persistence.session import Database

_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class AuditVerdict:
    """What came of it: rows read, the head as the database has it, the number of findings and the first of them."""

    rows: int
    head: AuditHead | None
    faults: int
    first: AuditFault | None

    @property
    def holds(self) -> bool:
        return self.faults == 0


@asynccontextmanager
async def audit_trail(principal: Principal, database: Database) -> AsyncIterator[AuditRepository]:
    """The trail in one consistent view, for whoever may read it.

    Raises:
        NotPermitted: the principal may not.
    """
    principal.require(Action.READ_AUDIT)
    async with database.reading() as uow:
        yield uow.audit


async def verify_audit(
    principal: Principal, database: Database, tell: Callable[[AuditFault], object], *, anchor: str | None = None
) -> AuditVerdict:
    """Walk the whole chain in constant memory.

    Args:
        tell: called with each finding as it is made, in the order of rows.
        anchor: the head's hash of an earlier export. Only an anchor kept elsewhere shows that somebody who owns the database
            cut off its end, or rewrote it with all hashes behind.

    Raises:
        NotPermitted: the principal may not read the trail.
        InvalidInput: the anchor is no hash.
    """
    if anchor is not None and not _HASH.fullmatch(anchor := anchor.strip().lower()):
        raise InvalidInput(
            f"{anchor!r} is no hash of an audit row", not_done="Nothing was verified", next_step="Give its 64 hexadecimal digits"
        )
    faults, first = 0, None

    def count(found: list[AuditFault]) -> None:
        nonlocal faults, first
        for fault in found:
            faults, first = faults + 1, first or fault
            tell(fault)

    async with audit_trail(principal, database) as trail:
        head = await trail.head()
        check = ChainCheck(head, anchor)
        async for row in trail.walk():
            count(check.add(row))
        count(check.end())
    return AuditVerdict(check.rows, head, faults, first)
