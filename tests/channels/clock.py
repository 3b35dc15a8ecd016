"""Simulated time for many tasks at once: it moves to the next instant that anybody waits for, once everybody waits."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from datetime import datetime, timedelta

from trading_core.domain.clock import SimulatedClock


class SharedClock(SimulatedClock):
    """Time of the hub's tasks, and of every other from its first sleep on. While one of them works, over a socket too, it stands.

    The hub's outbox, which never waits for time, holds nothing up.
    """

    def __init__(self, start: datetime) -> None:
        super().__init__(start)
        self._asleep: list[tuple[datetime, int, asyncio.Future[None]]] = []
        self._order = itertools.count()
        self._others: set[asyncio.Task[object]] = set()

    async def sleep(self, seconds: float) -> None:
        task = asyncio.current_task()
        assert task is not None
        if not _is_of_hub(task):
            self._others.add(task)
        awake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._asleep, (self.now() + timedelta(seconds=seconds), next(self._order), awake))
        self._move()
        await awake

    def _move(self) -> None:
        """To the next instant, if everybody waits. A task that ends, or is cancelled, looks again once it is gone."""
        self._asleep = [sleeper for sleeper in self._asleep if not sleeper[2].done()]
        heapq.heapify(self._asleep)
        members = {task for task in asyncio.all_tasks() if _is_of_hub(task)}
        self._others = {task for task in self._others if not task.done()}
        for task in members:
            task.remove_done_callback(self._gone)
            task.add_done_callback(self._gone)
        if self._asleep and len(self._asleep) >= len(members | self._others):
            until, _, awake = heapq.heappop(self._asleep)
            self.advance_to(max(until, self.now()))
            awake.set_result(None)

    def _gone(self, task: asyncio.Task[object]) -> None:
        self._move()


def _is_of_hub(task: asyncio.Task[object]) -> bool:
    return task.get_name().startswith("channels: ") and task.get_name() != "channels: outbox"
