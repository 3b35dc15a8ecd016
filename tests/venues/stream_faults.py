"""What can go wrong between a venue's stream and a client: the switches of `server.faults.streams`.

    server.faults.streams.drop()                         # every open socket breaks in the middle of a frame
    server.faults.streams.refuse()                       # and no new one is taken, until `clear`
    server.faults.streams.double(3)                      # the next three events come twice
    server.faults.streams.swap()                         # the next event of a socket comes after the one behind it

Events are what a stream tells on its own (`Stream.send`); answers to what the client said (`Stream.answer`) are neither doubled
nor swapped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Breakable(Protocol):
    """A socket that can break."""

    def break_off(self) -> None:
        """Send the head of a frame and half of its body, and then nothing any more."""
        ...


class StreamFaults:
    """Which faults the next events and sockets meet. Callable from any thread."""

    def __init__(self, live: Sequence[Breakable]) -> None:
        self._live = live
        self.clear()

    def clear(self) -> None:
        """All is well from here on; what was not sent while it was silent stays lost."""
        self.refuses = False
        self.silent = False
        self.answers_pings = True
        self._doubled = 0
        self._behind = 0

    def drop(self) -> None:
        """Break every open socket in the middle of a frame, without a close."""
        for stream in tuple(self._live):
            stream.break_off()

    def refuse(self) -> None:
        """Answer every new socket with HTTP 503."""
        self.refuses = True

    def silence(self, *, answers_pings: bool = False) -> None:
        """Send nothing and close nothing; with `answers_pings` the line is alive and only the venue says nothing."""
        self.silent, self.answers_pings = True, answers_pings

    def double(self, events: int) -> None:
        """Send the next events twice, over whichever sockets they come."""
        self._doubled += events

    def swap(self, behind: int = 1) -> None:
        """Keep the next event of any socket back until so many more were sent over the same socket."""
        self._behind = behind

    def copies(self) -> int:
        """How often to send the event at hand."""
        if not self._doubled:
            return 1
        self._doubled -= 1
        return 2

    def keeps_back(self) -> int:
        """How many events go before the one at hand; asked once for each."""
        behind, self._behind = self._behind, 0
        return behind
