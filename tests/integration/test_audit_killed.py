"""A writer that is killed in the middle: every change that was acknowledged is on the trail, and the chain holds."""

from __future__ import annotations

import os
import signal
import sys
import textwrap
from asyncio import create_subprocess_exec
from asyncio.subprocess import PIPE
from datetime import UTC, datetime
from pathlib import Path

from trading_core.audit.entry import AuditAction, AuditEntry, SubjectKind
from trading_core.audit.verify import verify_audit
from trading_core.auth.permissions import operator
from trading_core.persistence import session
from trading_core.persistence.records import SessionRecord
from trading_core.persistence.session import Database

AT = datetime(2025, 3, 1, tzinfo=UTC)

WRITER = """
import asyncio, sys
from datetime import UTC, datetime
from trading_core.audit.entry import AuditAction, AuditEntry, SubjectKind
from trading_core.persistence.records import SessionRecord
from trading_core.persistence.session import Database

AT = datetime(2025, 3, 1, tzinfo=UTC)

async def write(database, task):
    for number in range(1_000_000):
        name = f"{task}-{number}"
        async with database.transaction() as uow:
            await uow.sessions.add(SessionRecord(name, {}, AT))
            entry = AuditEntry(AT, "desk", AuditAction.SETTING_CHANGED, SubjectKind.SETTING, name, None, {"by": task})
            await uow.audit.append(entry)
        print(name, flush=True)

async def main():
    async with await Database.open(sys.argv[1]) as database:
        await asyncio.gather(*(write(database, task) for task in range(4)))

asyncio.run(main())
"""


async def test_what_was_acknowledged_is_on_the_trail_after_a_kill(location: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(session.__file__).parents[2])}
    writer = await create_subprocess_exec(
        sys.executable, "-c", textwrap.dedent(WRITER), location, stdout=PIPE, stderr=PIPE, env=environment
    )
    assert writer.stdout is not None
    acknowledged = [(await writer.stdout.readline()).decode().strip() for _ in range(100)]
    writer.send_signal(signal.SIGKILL)
    rest, errors = await writer.communicate()
    acknowledged += rest.decode().split()
    assert "" not in acknowledged, errors.decode()
    async with await Database.open(location) as database:
        verdict = await verify_audit(operator("anna"), database, print)
        assert verdict.holds
        async with database.reading() as uow:
            told = [row.subject_id async for row in uow.audit.walk()]
            changed = {record.id for record in await uow.sessions.all()}
        assert set(acknowledged) <= set(told)
        assert len(told) == len(changed)
        assert set(told) == changed  # no change without its row, and no row without its change
        async with database.transaction() as uow:  # and it goes on
            entry = AuditEntry(AT, "desk", AuditAction.SETTING_CHANGED, SubjectKind.SETTING, "after")
            await uow.sessions.add(SessionRecord("after", {}, AT))
            assert (await uow.audit.append(entry)).sequence == len(told) + 1
