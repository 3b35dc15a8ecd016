"""A desk that answers behind a real server: a small generated market, its runs worked on, a user of every role, and keys."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from api.http.settings import ApiSettings
from graph.system import TradingSystem
from tests.http.serving import Served, served
from tests.integration.worlds import ENTRY, config, entry_feed
from trading_core.auth.identity import Identity
from trading_core.auth.permissions import Action
from trading_core.auth.roles import ROLE_ACTIONS, Role
from trading_core.domain.intents import TradeIntent
from trading_core.domain.orders import Order
from trading_core.persistence.desk_records import Conversation, Message


@dataclass(slots=True)
class TalkingDesk:
    """The server, and the desk of account `paper` behind it, which has bought SOL/USDT."""

    served: Served
    system: TradingSystem

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.served.port}"

    async def key(self, user: str, *scopes: Action, accounts: Sequence[str] = ("paper",)) -> str:
        """An API key of a user, who is named after the role; with all of the role's rights when none are named."""
        world = self.served.doors.world
        identity: Identity = await world.identity(user)
        granted = scopes or tuple(sorted(ROLE_ACTIONS[Role(user)]))
        _, text = await world.auth.api_keys.issue(identity, "tests", granted, accounts, timedelta(days=1))
        return text.get_secret_value()

    async def orders(self) -> Sequence[Order]:
        async with self.system.database.reading() as uow:
            return await uow.orders.all("paper")

    async def threads(self, user: str) -> Sequence[Conversation]:
        async with self.system.database.reading() as uow:
            return await uow.conversations.page(f"user:{user}", limit=100)

    async def said(self, conversation: str) -> Sequence[Message]:
        async with self.system.database.reading() as uow:
            return await uow.conversations.messages(conversation, limit=100)

    async def asked(self) -> TradeIntent:
        """The intent that waits for an approval."""
        async with self.system.database.reading() as uow:
            (pending,) = await uow.approvals.pending("paper")
            found = await uow.intents.get(pending.intent_id)
        assert found is not None
        return found


@asynccontextmanager
async def talking_desk(location: Path, *, settings: ApiSettings | None = None, **changes: Any) -> AsyncIterator[TalkingDesk]:
    """A desk after its first cycle, over a database that is migrated already.

    Args:
        changes: of the session's config.
    """
    async with (
        served(location, settings) as opened,
        TradingSystem.open(
            config(start=ENTRY, **changes), location.parent, feed=entry_feed(), opened=opened.doors.world.database
        ) as system,
        opened.doors.state.log.open(),
    ):
        await system.runner.run(ENTRY)
        state = opened.doors.state
        state.desks.add(system)
        async with state.runs.working():
            yield TalkingDesk(opened, system)
