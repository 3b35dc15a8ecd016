"""Everybody who follows this process: how many, whose events they are given, and the end of it all."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import Literal

from fastapi import FastAPI
from pydantic import SecretStr

from api.http.problems import TooManyRequests
from api.live.access import RunFacts
from api.live.feed import AccountFeed, Hear, RunsSeen
from api.live.inbox import Inbox
from api.live.logins import Changed, Logins
from api.live.values import Values
from api.observability.metrics import Metrics
from api.state import ApiState

_AGAIN_IN = 10  # seconds, for those for whom there is no room

End = Callable[[], None]


class Hub:
    """One for each application; `hub_of` finds it."""

    def __init__(self, state: ApiState) -> None:
        self.state = state
        self.runs = RunsSeen(state.database)
        self.logins = Logins(state.auth)
        self.values = Values(state)
        self._feeds: dict[str, AccountFeed] = {}
        self._here: dict[object, End] = {}
        self._by_name: Counter[str] = Counter()
        self.is_ending = False

    @contextmanager
    def room(self, name: str, owner: object, end: End, transport: Literal["sse", "websocket"] = "sse") -> Iterator[None]:
        """A place for one stream or socket, which is counted while it is taken.

        Args:
            name: of the principal who follows.
            end: called when the server ends.

        Raises:
            TooManyRequests: this user has too many, or all together do.
        """
        settings = self.state.settings
        if len(self._here) >= settings.followers or self._by_name[name] >= settings.followers_per_user:
            raise TooManyRequests("there are too many open streams and sockets", _AGAIN_IN)
        self._here[owner] = end
        self._by_name[name] += 1
        if self.is_ending:
            end()
        try:
            with ExitStack() as counting:
                if isinstance(self.state.observer, Metrics):
                    counting.enter_context(self.state.observer.following(transport))
                yield
        finally:
            del self._here[owner]
            self._by_name[name] -= 1
            if not self._by_name[name]:
                del self._by_name[name]

    @contextmanager
    def watched(self, token: SecretStr, owner: object, changed: Changed) -> Iterator[None]:
        """Have a token looked at again and again."""
        self.logins.watch(token, owner, changed)
        try:
            yield
        finally:
            self.logins.forget(token, owner)

    @asynccontextmanager
    async def following_run(self, run: RunFacts) -> AsyncIterator[Inbox]:
        """An inbox for what a run tells from now on.

        Raises:
            StoreUnavailable: the ledger cannot be read.
        """
        inbox, feed = Inbox(), self._feed(run.account_id)
        try:
            await feed.join_run(run.run_id, inbox)
            yield inbox
        finally:
            feed.leave(inbox, run.run_id)
            await self._tidy(run.account_id, feed)

    async def join(self, account_id: str, inbox: Inbox, hear: Hear) -> None:
        """Have somebody hear all that is told of an account from now on.

        Raises:
            StoreUnavailable: the ledger cannot be read.
        """
        await self._feed(account_id).join(inbox, hear)

    async def leave(self, account_id: str, inbox: Inbox) -> None:
        if (feed := self._feeds.get(account_id)) is not None:
            feed.leave(inbox)
            await self._tidy(account_id, feed)

    def end(self) -> None:
        """Have every stream and socket end in good order: their clients come back to whoever serves next."""
        self.is_ending = True
        for end in list(self._here.values()):
            end()

    async def stop(self) -> None:
        """End what still works for anybody."""
        self.end()
        await self.logins.stop()
        await self.values.stop()
        feeds, self._feeds = self._feeds, {}
        for feed in feeds.values():
            await feed.stop()

    def _feed(self, account_id: str) -> AccountFeed:
        feed = self._feeds.get(account_id)
        if feed is None:
            feed = self._feeds[account_id] = AccountFeed(account_id, self.state.database, self.state.log, self.runs)
        return feed

    async def _tidy(self, account_id: str, feed: AccountFeed) -> None:
        if not len(feed) and self._feeds.get(account_id) is feed:
            del self._feeds[account_id]
            await feed.stop()


@asynccontextmanager
async def live(app: FastAPI) -> AsyncIterator[None]:
    """The lifespan of an application's hub."""
    app.state.live = hub = Hub(app.state.desk)
    try:
        yield
    finally:
        await hub.stop()


def hub_of(app: FastAPI) -> Hub:
    """The hub of an application that has started."""
    hub = app.state.live
    assert isinstance(hub, Hub)  # noqa: S101  # `live` put it there
    return hub


def end_followers(app: FastAPI) -> None:
    """Tell everybody who follows that the server ends. For whoever stops it, before the server waits for open answers."""
    if isinstance(hub := getattr(app.state, "live", None), Hub):
        hub.end()
