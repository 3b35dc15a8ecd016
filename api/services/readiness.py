"""Is this process fit to be asked? Its database answers, at the right revision, and it still runs the accounts it holds."""

from __future__ import annotations

from dataclasses import dataclass

from api.state import ApiState
from graph.runs.leases import lease_of
from trading_core.domain.errors import AlgoTrendyError
from trading_core.persistence.migrate import newest


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. `detail` is for whoever runs the desk."""

    name: str
    passed: bool
    detail: str


async def readiness(state: ApiState) -> tuple[Check, ...]:
    """Look at all of it. Nothing is raised: what cannot be looked at has failed."""
    return (await _database(state), *[await _desk(state, account) for account in state.desks.accounts])


async def _database(state: ApiState) -> Check:
    try:
        revision = await state.database.revision()
    except AlgoTrendyError as error:
        return Check("database", passed=False, detail=str(error))
    if revision != newest():
        return Check("database", passed=False, detail=f"it is at revision {revision}, and this code needs {newest()}")
    return Check("database", passed=True, detail=f"at revision {revision}")


async def _desk(state: ApiState, account_id: str) -> Check:
    """A process that lost the right to run an account, or is too slow to renew it, is not fit."""
    name = f"desk {account_id}"
    try:
        async with state.database.reading() as uow:
            lease = await uow.leases.held(lease_of(account_id), state.clock.now())
    except AlgoTrendyError as error:
        return Check(name, passed=False, detail=str(error))
    if lease is None:
        return Check(name, passed=False, detail="this process holds it, and its right to run it is over")
    return Check(name, passed=True, detail=f"run by {lease.holder} until {lease.expires_at.isoformat()}")
