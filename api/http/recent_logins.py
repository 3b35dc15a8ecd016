"""Who was let in within the last second, so that a burst of reads does not check the same token a thousand times.

A login or key that ends elsewhere still reads for up to `FOR` seconds in this process. Writes are never let in from here, and
what ends logins and keys through this process empties it at once.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable

from trading_core.auth.identity import Identity

FOR = 1.0  # seconds
MOST = 4_096  # tokens


class RecentLogins:
    """
    Args:
        now: seconds that never go back.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._known: dict[bytes, tuple[float, Identity]] = {}
        self._era = 0

    def get(self, token: str) -> Identity | None:
        """Who came with this very token within the last second."""
        found = self._known.get(_digest(token))
        return found[1] if found is not None and self._now() < found[0] else None

    @property
    def era(self) -> int:
        """Another one after each `clear`."""
        return self._era

    def put(self, token: str, identity: Identity, era: int) -> None:
        """Know who came with a token.

        Args:
            era: in which the looking up began. What ended meanwhile may have been found as it was before.
        """
        if era != self._era:
            return
        if len(self._known) >= MOST:
            self._known.clear()
        self._known[_digest(token)] = (self._now() + FOR, identity)

    def clear(self) -> None:
        self._known.clear()
        self._era += 1


def _digest(token: str) -> bytes:
    # Tokens are not kept, and how long looking one up takes says nothing about others.
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
