"""What one socket follows of one account."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from api.live.access import facts_of, may_see, no_such_run, require_seen
from api.live.hub import Hub
from api.live.inbox import Inbox
from api.live.told import EQUITY, MARKET, ORDERS, POSITIONS, RISK, RUN, RUNS, Told
from api.services.desks import desk_here
from trading_core.auth.identity import Identity
from trading_core.auth.permissions import Action, Principal
from trading_core.domain.errors import UnknownSymbol

MOST_TOPICS = 200  # of one account
PAGE = 500
MOST_CHARACTERS = 256 * 1024  # of events in one frame, and one event more: there are clients that take no frame of a megabyte
_NEEDS = {
    ORDERS: Action.READ_ORDERS,
    POSITIONS: Action.READ_PORTFOLIO,
    EQUITY: Action.READ_PORTFOLIO,
    RISK: Action.READ_RISK,
    RUNS: Action.READ_ORDERS,  # and of each run only what its own rule allows
}
_OF_THE_PRESENT = frozenset({POSITIONS, EQUITY})


@dataclass(frozen=True, slots=True)
class Batch:
    """What a subscription has to send.

    Attributes:
        items: events, as JSON.
        position: behind them.
        gap: whether events were dropped from there on.
        is_more: there is more, to be taken next.
        closed: nothing more will come.
    """

    items: list[str]
    position: int
    gap: bool
    is_more: bool
    closed: bool


class Subscription:
    """Its topics, and how far it has come.

    Args:
        woken: called when there is something to take.

    Attributes:
        topics: that are followed.
        position: of the last event that was sent, or passed by; the socket can go on from here.
    """

    def __init__(self, hub: Hub, account_id: str, identity: Identity, woken: Callable[[], None]) -> None:
        self._hub, self._account_id, self._woken = hub, account_id, woken
        self._inbox = Inbox(woken=woken)
        self._who: Principal = identity.principal
        self._alone = asyncio.Lock()  # a client may ask to go back while events are read from further on
        self._presents: dict[str, str] = {}  # by topic: what is true now, and not sent yet
        self._reads_ledger = False  # there may be events in it between `position` and what was heard
        self._is_behind = False  # some were dropped, and the client has not come back for them
        self.topics: set[str] = set()
        self.position = 0

    async def allow(self, topics: Sequence[str]) -> None:
        """Go on only when all of `topics` may be followed.

        Raises:
            NotPermitted, NotFound: one may not.
            UnknownSymbol: a market that the desk does not trade.
            MarketDataUnavailable: a market, and no desk here knows it.
        """
        for topic in topics:
            if topic.startswith(RUN):
                run_id = topic.removeprefix(RUN)
                facts = await facts_of(self._hub.state.database, run_id)
                if facts is None or facts.account_id != self._account_id:
                    raise no_such_run(run_id)
                require_seen(self._who, facts)
            elif topic.startswith(MARKET):
                self._who.require(Action.READ_MARKET, self._account_id)
                self._known(topic.removeprefix(MARKET))
            else:
                self._who.require(_NEEDS[topic], self._account_id)

    async def follow(self, topics: Sequence[str], after: int | None) -> None:
        """Follow more topics, from now on; with `after`, all topics of the account from behind that position on.

        Raises:
            StoreUnavailable: the ledger cannot be read.
        """
        await self._hub.join(self._account_id, self._inbox, self._hear)
        async with self._alone:
            if after is not None or self._is_behind or not self.topics:
                async with self._hub.state.database.reading() as uow:
                    last = await uow.events.last_position()
                self._inbox.take()
                self.position = last if after is None else min(after, last)
                self._reads_ledger, self._is_behind = True, False
                self._woken()
        for topic in topics:
            self.topics.add(topic)
            if _is_present(topic):
                self._hub.values.listen(self._account_id, topic, self, self._show)

    def forget(self, topics: Sequence[str]) -> None:
        for topic in topics:
            self.topics.discard(topic)
            self._presents.pop(topic, None)
            if _is_present(topic):
                self._hub.values.forget(self._account_id, topic, self)

    async def end(self) -> None:
        """Follow nothing any more."""
        self.forget(list(self.topics))
        await self._hub.leave(self._account_id, self._inbox)

    def allowed_still(self, identity: Identity) -> list[str]:
        """Topics that this one may no longer follow. Runs are judged event by event."""
        self._who = identity.principal
        return [topic for topic in self.topics if not self._may(topic)]

    async def take(self) -> Batch:
        """What there is to send now.

        Raises:
            StoreUnavailable: the ledger cannot be read.
        """
        async with self._alone:
            items: list[str] = []
            gap = closed = False
            is_more = self._reads_ledger and await self._read(items)
            if not is_more:  # what was heard lies behind all that is read
                taken = self._inbox.take()
                closed = taken.closed
                is_more = self._put(taken.events, items)
                if taken.missed and self._reads_ledger:
                    is_more = True  # who goes through the ledger anyway finds it there
                elif taken.missed:
                    gap = self._is_behind = True
            self._reads_ledger = is_more
            items += self._presents.values()
            self._presents.clear()
            return Batch(items, self.position, gap, is_more, closed)

    def _hear(self, told: Told) -> None:
        """Take an event that was just told, if it is wanted."""
        if not self._is_behind and self.wants(told):
            self._inbox.give(told)

    def wants(self, told: Told) -> bool:
        """Whether an event belongs to a topic, and this one may see it.

        What belongs to a run as such is for those who may see the run. Orders and fills are for all who may read those, but not
        what a conversation told: that is its owner's.
        """
        topics = told.topics & self.topics
        if not topics:
            return False
        if told.run is None:
            return not told.event.run_id  # of a run that nobody knows, nobody knows who may see it
        if may_see(self._who, told.run):
            return True
        return not told.run.is_private and any(topic != RUNS and not topic.startswith(RUN) for topic in topics)

    async def _read(self, items: list[str]) -> bool:
        """Put the next events of the ledger to `items`; True when it may have more."""
        async with self._hub.state.database.reading() as uow:
            page = await uow.events.after(self.position, (self._account_id,), PAGE)
        found = [Told(event, await self._hub.runs.of(event)) for event in page]
        return self._put(found, items) or len(page) == PAGE

    def _put(self, found: Iterable[Told], items: list[str]) -> bool:
        """Put what is wanted and has room to `items`; True when some is left, which is then read from the ledger."""
        size = sum(map(len, items))
        for told in found:
            if told.event.position <= self.position:
                continue
            if size >= MOST_CHARACTERS:
                return True
            self.position = told.event.position
            if self.wants(told):
                items.append(told.item)
                size += len(told.item)
        return False

    def _show(self, topic: str, item: str) -> None:
        self._presents[topic] = item
        self._woken()

    def _may(self, topic: str) -> bool:
        if topic.startswith(RUN):
            return self._account_id in self._who.accounts
        return self._who.may(Action.READ_MARKET if topic.startswith(MARKET) else _NEEDS[topic], self._account_id)

    def _known(self, symbol: str) -> None:
        system = desk_here(self._hub.state, self._account_id, "its prices as they move")
        if symbol not in system.config.symbols:
            raise UnknownSymbol(
                f"the desk of {self._account_id!r} does not trade {symbol!r}",
                not_done="Nothing is followed",
                next_step=f"Follow one of {', '.join(system.config.symbols)}",
            )


def _is_present(topic: str) -> bool:
    return topic in _OF_THE_PRESENT or topic.startswith(MARKET)
