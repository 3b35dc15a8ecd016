"""`approve` and `reject`: an operator's word on one intent."""

from __future__ import annotations

import asyncio
import getpass
from typing import TYPE_CHECKING, Annotated

import typer

from api.commands.settings import stored_config
from api.home import HomeContext, Ledger, program

if TYPE_CHECKING:
    from pathlib import Path

Intent = Annotated[str, typer.Argument(metavar="INTENT", help="Id of the intent, or the beginning of it.")]
Reason = Annotated[str, typer.Option(metavar="TEXT", help="Kept with the answer.")]


def approve(ctx: HomeContext, intent_id: Intent, reason: Reason = "", database: Ledger = None) -> None:
    """Allow an order that waits; `resume` then sends it, if it still stands."""
    asyncio.run(_decide(ctx.obj, intent_id, reason, database, yes=True))


def reject(ctx: HomeContext, intent_id: Intent, reason: Reason = "", database: Ledger = None) -> None:
    """Refuse an order that waits; `resume` then goes on without it."""
    asyncio.run(_decide(ctx.obj, intent_id, reason, database, yes=False))


async def _decide(home: Path, prefix: str, reason: str, location: str | None, *, yes: bool) -> None:
    """Over the ledger alone: the process that has the account may be at work, and sees the answer there."""
    from agents.models.spec import NO_KEY
    from api.console.screen import output
    from api.console.text import exact
    from api.ledgers import find_approval
    from graph.runs.leases import lease_of
    from graph.runs.waking import tell_answer
    from trading_core.auth.permissions import operator
    from trading_core.domain.clock import SimulatedClock, SystemClock
    from trading_core.execution.approving import Approvals
    from trading_core.persistence.session import Database

    found = await find_approval(home, prefix, location)
    intent, run = found.intent, found.run.run
    # No model is asked here, so any key will do for reading the session.
    config = stored_config(found.run.session.config, NO_KEY)
    clock = SimulatedClock(run.as_of) if config.simulated else SystemClock()
    async with await Database.open(found.run.folders.ledger) as ledger:
        answer = await Approvals(ledger, clock, config.limits).decide(
            operator(operator_name(), run.account_id), intent.intent_id, approve=yes, reason=reason.strip(), also=tell_answer
        )
        async with ledger.reading() as uow:
            lease = await uow.leases.held(lease_of(run.account_id), clock.now())
            request = await uow.run_requests.get(run.id)
    console = output()
    console.print(
        f"{answer.state.value}: {intent.side.value} {exact(intent.quantity)} {intent.symbol} "
        f"near {exact(found.approval.price)}, by {answer.decided_by}"
    )
    if lease is not None:
        console.print("The process that serves the account goes on with the run.")
    elif request is not None:
        console.print(f"`{program(home, location)} serve` goes on with it when it serves the account again.")
    else:
        console.print(f"`{program(home, location)} resume {run.id}` goes on.")


def operator_name() -> str:
    """Who acts, for the record: the user of this machine."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return "operator"
