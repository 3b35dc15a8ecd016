"""`halt`, `reduce`, `resume-trading`, `kill`, `state` and `reconcile`: an operator's hand on the desk.

All but `reconcile` need the ledger only, so they work while a session is at work on the account in another process.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Annotated

import typer

from api.commands.approvals import operator_name
from api.commands.options import FAILED, AsJson, Reason, Session
from api.home import HomeContext, Ledger, program

if TYPE_CHECKING:
    from pathlib import Path

    from api.ledgers import FoundSession
    from trading_core.auth.permissions import Principal


def halt(ctx: HomeContext, reason: Reason, session: Session = None, database: Ledger = None) -> None:
    """Stop trading: nothing passes the gate. What works at the venue goes on; protective stops are still placed."""
    asyncio.run(_change(ctx.obj, session, database, "halt", reason))


def reduce(ctx: HomeContext, reason: Reason, session: Session = None, database: Ledger = None) -> None:
    """Let only exits pass the gate."""
    asyncio.run(_change(ctx.obj, session, database, "reduce", reason))


def resume_trading(ctx: HomeContext, reason: Reason, session: Session = None, database: Ledger = None) -> None:
    """Trade again after a halt or a loss limit; losses count anew from what the account is worth now."""
    asyncio.run(_change(ctx.obj, session, database, "resume", reason))


def kill(
    ctx: HomeContext,
    reason: Reason,
    stops_too: Annotated[bool, typer.Option("--stops-too", help="Also protective stops: holdings then stand bare.")] = False,
    session: Session = None,
    database: Ledger = None,
) -> None:
    """Halt, and cancel every live order but the protective stops. Exit status 1 while any of them may still trade."""
    if not asyncio.run(_kill(ctx.obj, session, database, reason, stops_too=stops_too)):
        raise typer.Exit(FAILED)


def state(ctx: HomeContext, session: Session = None, database: Ledger = None, as_json: AsJson = False) -> None:
    """Show whether the desk may trade, since when, by whom and why, and what works at the venue."""
    from api.console.control import show_state, state_document
    from api.console.screen import output
    from api.operations import read_state

    found = asyncio.run(read_state(ctx.obj, session, database))
    if as_json:
        typer.echo(json.dumps(state_document(found), indent=2))
    else:
        show_state(output(), found)


def reconcile(ctx: HomeContext, session: Session = None, database: Ledger = None, as_json: AsJson = False) -> None:
    """Compare the ledger with the venue now. Exit status 1 while they differ."""
    from pydantic import TypeAdapter

    from api.console.control import show_reconciliation
    from api.console.screen import output
    from api.ledgers import find_session
    from api.operations import opened
    from trading_core.execution.reconcile import Reconciliation, Row

    async def compare() -> Reconciliation:
        async with opened(await find_session(ctx.obj, session, database), ctx.obj) as system:
            return system.opening  # to open a session is to reconcile it

    found = asyncio.run(compare())
    if as_json:
        rows = TypeAdapter(tuple[Row, ...]).dump_python(found.rows, mode="json")
        typer.echo(json.dumps({"agrees": found.agrees, "rows": rows}, indent=2))
    else:
        show_reconciliation(output(), found)
    if not found.agrees:
        raise typer.Exit(FAILED)


async def _change(home: Path, prefix: str | None, location: str | None, what: str, reason: str) -> None:
    from api.console.control import state_line
    from api.console.screen import output
    from api.ledgers import find_session
    from api.operations import controlling, prices_of_holdings

    found = await find_session(home, prefix, location)
    async with controlling(found) as (control, database):
        who = _operator(found)
        if what == "halt":
            risk = await control.halt(who, reason)
        elif what == "reduce":
            risk = await control.reduce(who, reason)
        else:
            risk = await control.resume_trading(who, reason, await prices_of_holdings(found, database))
    output().print(state_line(found.session.id, risk))


async def _kill(home: Path, prefix: str | None, location: str | None, reason: str, *, stops_too: bool) -> bool:
    """Whether everything that was to be taken back is."""
    from api.console.control import show_withdrawn, state_line
    from api.console.screen import output
    from api.ledgers import find_session
    from api.operations import controlling, withdraw

    console, found = output(), await find_session(home, prefix, location)
    async with controlling(found) as (control, database):
        risk = await control.kill(_operator(found), reason, stops_too=stops_too)
        console.print(state_line(found.session.id, risk))  # before anything that can fail
        orders, trouble = await withdraw(found, home, database, risk.withdrawal)
    show_withdrawn(console, orders, trouble, f"{program(home, location)} state --session {found.session.id}")
    return not any(order.is_live for order in orders)


def _operator(found: FoundSession) -> Principal:
    from trading_core.auth.permissions import operator

    return operator(operator_name(), found.folders.account)
