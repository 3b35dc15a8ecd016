"""`verify`: prove the ledger from its fills and events, and compare it with the venue."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import typer

from api.commands.approvals import operator_name
from api.commands.options import FAILED, AsJson, Session
from api.home import HomeContext, Ledger

if TYPE_CHECKING:
    from pathlib import Path

    from trading_core.execution.verify import Finding


def verify(ctx: HomeContext, session: Session = None, database: Ledger = None, as_json: AsJson = False) -> None:
    """Work everything out again from the fills and events, and compare. Exit status 1 when anything does not hold."""
    from api.console.control import show_findings
    from api.console.screen import output

    findings, not_compared = asyncio.run(_verify(ctx.obj, session, database))
    holds = all(finding.holds for finding in findings)
    if as_json:
        checks = [{"check": f.name, "compared": f.compared, "holds": f.holds, "offences": list(f.offences)} for f in findings]
        typer.echo(json.dumps({"holds": holds, "venue_not_compared": not_compared or None, "checks": checks}, indent=2))
    else:
        show_findings(output(), findings, not_compared)
    if not holds:
        raise typer.Exit(FAILED)


async def _verify(home: Path, prefix: str | None, location: str | None) -> tuple[list[Finding], str]:
    """The findings, and why the venue could not be compared, if it could not."""
    from api.ledgers import find_session
    from api.operations import opened
    from trading_core.auth.permissions import operator
    from trading_core.domain.errors import AlgoTrendyError
    from trading_core.execution.verify import verify_ledger, verify_venue
    from trading_core.persistence.session import Database

    found = await find_session(home, prefix, location)
    account = found.folders.account
    who = operator(operator_name(), account)
    # The ledger first, as it was left: opening the session books what the venue has done since.
    async with await Database.open(found.folders.ledger) as database:
        findings = list(await verify_ledger(who, database, account))
    try:
        async with opened(found, home) as system:
            findings += await verify_venue(who, system.database, account, system.broker)
    except AlgoTrendyError as error:
        return findings, str(error)
    return findings, ""
