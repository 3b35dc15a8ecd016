"""The desk that runs an account: in this process, in another, or nowhere."""

from __future__ import annotations

from enum import StrEnum

from api.http.problems import DeskElsewhere
from api.state import ApiState
from graph.runs.leases import lease_of
from graph.system import TradingSystem
from trading_core.domain.clock import Clock


class Worker(StrEnum):
    """Who will work on what is asked of an account."""

    HERE = "this process"
    ELSEWHERE = "another process"
    NOBODY = "none"  # what is asked for waits until a desk for the account is started


def clock_of(state: ApiState, account_id: str) -> Clock:
    """The account's time: a simulated one lives in its own, where this process runs it."""
    system = state.desks.get(account_id)
    return state.clock if system is None else system.clock


async def worker_of(state: ApiState, account_id: str) -> Worker:
    """Who runs the account now."""
    if state.desks.get(account_id) is not None:
        return Worker.HERE
    async with state.database.reading() as uow:
        lease = await uow.leases.held(lease_of(account_id), state.clock.now())
    return Worker.ELSEWHERE if lease is not None else Worker.NOBODY


def desk_here(state: ApiState, account_id: str, what: str) -> TradingSystem:
    """The account's desk in this process.

    Args:
        what: that only the desk can tell.

    Raises:
        DeskElsewhere: this process does not run the account.
    """
    system = state.desks.get(account_id)
    if system is None:
        raise DeskElsewhere(
            f"no desk in this process runs account {account_id!r}, and only the desk knows {what}",
            not_done="Nothing was read",
            next_step="Ask the process that runs it, or start one with `algotrendy serve`",
        )
    return system
