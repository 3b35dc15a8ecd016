"""Rights that one process at a time has."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, func, or_, select, update

from trading_core.domain.clock import utc
from trading_core.persistence.desk_records import Lease
from trading_core.persistence.desk_tables import leases
from trading_core.persistence.repositories.base import Repository

# Of the moment; now() would be when the transaction began. https://www.postgresql.org/docs/current/functions-datetime.html
_SERVER_TIME = select(func.clock_timestamp())


class LeasesRepository(Repository):
    async def now(self, here: datetime) -> datetime:
        """The instant that leases are counted by. Machines whose clocks differ share PostgreSQL, and so its clock; a file has one
        machine, whose time is `here`.
        """
        if self._connection.dialect.name != "postgresql":
            return here
        return utc((await self._connection.execute(_SERVER_TIME)).scalar_one())

    async def take(self, name: str, holder: str, now: datetime, until: datetime) -> bool:
        """Take a lease that is free, over at `now`, or the holder's already. False when it is another's."""
        insert = self._insert(leases).values(name=name, holder=holder, expires_at=until)
        taking = insert.on_conflict_do_update(
            index_elements=[leases.c.name],
            set_={"holder": insert.excluded.holder, "expires_at": insert.excluded.expires_at},
            where=or_(leases.c.holder == holder, leases.c.expires_at <= now),
        )
        return (await self._connection.execute(taking)).rowcount == 1

    async def take_over(self, dead: Lease, holder: str, until: datetime) -> bool:
        """Take a lease from a holder who is known to be gone, before its time. False when it is no longer as it was."""
        as_it_was = (leases.c.name == dead.name, leases.c.holder == dead.holder, leases.c.expires_at == dead.expires_at)
        taking = update(leases).where(*as_it_was).values(holder=holder, expires_at=until)
        return (await self._connection.execute(taking)).rowcount == 1

    async def give_back(self, name: str, holder: str) -> bool:
        """End a lease before its time. False when it is not the holder's."""
        done = await self._connection.execute(delete(leases).where(leases.c.name == name, leases.c.holder == holder))
        return done.rowcount == 1

    async def held(self, name: str, here: datetime) -> Lease | None:
        """The lease, where somebody has it now; `here` as for `now`."""
        lease = await self.get(name)
        return lease if lease is not None and lease.expires_at > await self.now(here) else None

    async def get(self, name: str) -> Lease | None:
        """The lease as it was last taken; it may be over."""
        row = await self._one(select(leases).where(leases.c.name == name))
        return None if row is None else Lease(**row)
