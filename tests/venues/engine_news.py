"""Who is told of what happens at the local exchange, and when: accounts' streams at once, market data after each act."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.venues.engine_types import Execution, Print, VenueOrder

Listener = Callable[[VenueOrder | Execution], None]
Watcher = Callable[[str, list[Print]], None]


class News:
    """What an exchange tells; always under its lock."""

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock
        self._listeners: list[Listener] = []
        self._watchers: list[Watcher] = []
        self._acts = 0
        self._touched: dict[str, list[Print]] = {}

    def listen(self, callback: Listener) -> None:
        self._listeners.append(callback)

    def watch(self, callback: Watcher) -> None:
        self._watchers.append(callback)

    def changed(self, change: VenueOrder | Execution) -> None:
        """Tell it at once; the market's watchers hear of it when the act is over."""
        order = change if isinstance(change, VenueOrder) else change.order
        self._touched.setdefault(order.ticket.symbol, [])
        for listener in self._listeners:
            listener(change)

    def printed(self, symbol: str, done: Print) -> None:
        self._touched.setdefault(symbol, []).append(done)

    @contextmanager
    def act(self) -> Iterator[None]:
        """One act from outside, however many it is made of: nobody watches a book that is half changed."""
        with self._lock:
            self._acts += 1
            try:
                yield
            finally:
                self._acts -= 1
                if not self._acts:
                    touched, self._touched = self._touched, {}
                    for symbol, prints in touched.items():
                        for watcher in self._watchers:
                            watcher(symbol, prints)
