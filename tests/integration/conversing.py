"""A desk that answers: a small generated market, the run manager at work, and people of every role."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from graph.runs.desks import Desks
from graph.runs.event_log import EventLog
from graph.runs.manager import RunManager
from graph.system import TradingSystem
from tests.integration.worlds import ENTRY, config, entry_feed
from trading_core.auth.permissions import Action, Principal
from trading_core.auth.roles import ROLE_ACTIONS, Role
from trading_core.persistence.desk_records import Author, Conversation, Message, Proposal, StoredEvent
from trading_core.persistence.identity_records import User
from trading_core.persistence.records import RunRecord, RunState


@dataclass
class Talk:
    """Conversations with one desk."""

    system: TradingSystem
    runs: RunManager
    log: EventLog
    asked: int = field(default=0)

    async def begin(self, who: Principal, title: str = "", name: str = "thread") -> Conversation:
        now = self.system.clock.now()
        conversation = Conversation(f"{name}-{who.name}", self.system.desk.account_id, who.name, title, now, now)
        async with self.system.database.transaction() as uow:
            await uow.conversations.add(conversation)
        return conversation

    async def ask(self, who: Principal, conversation: Conversation, text: str, run_id: str = "") -> list[Message]:
        """The answers to a question, in the order they were given."""
        self.asked += 1
        run_id = run_id or f"turn-{self.asked}"
        await self.runs.request_turn(who, conversation, text, run_id=run_id)
        record = await self.runs.wait(run_id, 60)
        assert record.state is RunState.DONE, record
        return await self.answers(conversation, run_id)

    async def answers(self, conversation: Conversation, run_id: str) -> list[Message]:
        async with self.system.database.reading() as uow:
            found = await uow.conversations.messages(conversation.id, limit=1000)
        return [message for message in found if message.run_id == run_id and message.author is Author.AGENT]

    async def events(self, run_id: str) -> Sequence[StoredEvent]:
        await self.log.flush()
        async with self.system.database.reading() as uow:
            return await uow.events.of_run(run_id, 0, 5_000)


@asynccontextmanager
async def talking(home: Path, *, cycles: Sequence[Any] = (ENTRY,), working: bool = True, **how: Any) -> AsyncIterator[Talk]:
    """A desk after the cycle in which it bought SOL/USDT, with its runs being worked on."""
    settings = how.pop("settings", None) or config(start=ENTRY)
    async with TradingSystem.open(settings, home, feed=entry_feed(), **how) as system:
        for tick in cycles:
            await system.runner.run(tick)
        log = EventLog(system.database, system.clock)
        desks = Desks()
        desks.add(system)
        runs = RunManager(system.database, system.clock, log, desks, "tests")
        async with log.open():
            for role in Role:
                await add_user(system, role.value, role)
            talk = Talk(system, runs, log)
            if not working:
                yield talk
                return
            async with runs.working():
                yield talk


async def add_user(system: TradingSystem, name: str, role: Role) -> None:
    """A user with a role on the desk's account; the password is nobody's."""
    now = system.clock.now()
    accounts = frozenset({system.desk.account_id})
    async with system.database.transaction() as uow:
        await uow.users.add(
            User(f"id-{name}", name, f"{name}@example.org", role, True, now, accounts=accounts), "no password opens this"
        )


def person(name: str, role: Role, account_id: str = "paper", *without: Action) -> Principal:
    return Principal(f"user:{name}", ROLE_ACTIONS[role] - set(without), frozenset({account_id}), role=role.value)


TRADER, VIEWER, AUDITOR = (person(role.value, role) for role in (Role.TRADER, Role.VIEWER, Role.AUDITOR))


async def ended(talk: Talk, run_id: str) -> RunRecord:
    return await asyncio.wait_for(talk.runs.wait(run_id, 60), 65)


async def cards(talk: Talk, thread: Conversation) -> tuple[Proposal, ...]:
    async with talk.system.database.reading() as uow:
        return await uow.proposals.of_conversation(thread.id)
