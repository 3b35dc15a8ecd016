"""Who asked for a run, found again by name when the run is worked on: what that one may do is asked then, and never stored."""

from __future__ import annotations

from trading_core.auth.identity import user_principal
from trading_core.auth.permissions import Principal, operator
from trading_core.domain.errors import NotPermitted
from trading_core.persistence.desk_records import RunRequest
from trading_core.persistence.session import Database


async def requester(database: Database, request: RunRequest) -> Principal:
    """The principal behind a request, with today's rights.

    A user's name begins with `user:`, an agent's or a schedule's with its own kind; a person at the machine has a bare name, and
    only the machine's own commands write one.

    Raises:
        NotPermitted: the user is deactivated or gone, or it was nobody who may ask for anything.
    """
    name = request.requested_by
    if ":" not in name:
        return operator(name, request.account_id)
    async with database.reading() as uow:
        known = await user_principal(uow, name)
    if known is None:
        raise NotPermitted(f"{name!r} is no active user", not_done="Nothing was done for them", next_step="Ask an administrator")
    return known
