"""What waits for one follower: bounded, so that one who reads slowly costs the others nothing."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from api.live.told import Told

MOST_WAITING = 1_000  # events


@dataclass(frozen=True, slots=True)
class Taken:
    """What has come.

    Attributes:
        missed: some events were dropped before these; the ledger has them.
        closed: nothing more will come.
    """

    events: tuple[Told, ...] = ()
    missed: bool = False
    closed: bool = False


class Inbox:
    """Events for one follower, in order.

    Args:
        woken: called when there is something to take, for a follower of several.
    """

    def __init__(self, most: int = MOST_WAITING, woken: Callable[[], None] | None = None) -> None:
        self._most, self._woken = most, woken
        self._waiting: deque[Told] = deque()
        self._waker: asyncio.Future[None] | None = None
        self._missed = False
        self._closed = False

    def give(self, told: Told) -> None:
        """Put an event in. When there is no room, all that waits is dropped: what was missed is read anew, in one piece."""
        if self._missed or self._closed:
            return
        if len(self._waiting) >= self._most:
            self.miss()
            return
        self._waiting.append(told)
        self.wake()

    def miss(self) -> None:
        """Have the follower read on from the ledger."""
        self._waiting.clear()
        self._missed = True
        self.wake()

    def close(self) -> None:
        """There is no more to come; what waits can still be taken."""
        self._closed = True
        self.wake()

    def wake(self) -> None:
        if self._woken is not None:
            self._woken()
        if self._waker is not None and not self._waker.done():
            self._waker.set_result(None)

    def take(self) -> Taken:
        """All that waits now, which may be nothing."""
        if not self._waiting and not self._missed and not self._closed:
            return _NOTHING
        taken = Taken(tuple(self._waiting), self._missed, self._closed)
        self._waiting.clear()
        self._missed = False
        return taken

    async def wait(self, seconds: float) -> None:
        """Until something has come, or somebody woke it, or the time is over."""
        if self._waiting or self._missed or self._closed:
            return
        loop = asyncio.get_running_loop()
        waker = self._waker = loop.create_future()
        timer = loop.call_later(seconds, self.wake)
        try:
            await waker
        finally:
            timer.cancel()
            self._waker = None


_NOTHING = Taken()
