"""Threads of clients that send all of their messages with every question: which conversation of the desk is meant.

Nothing that a client sends beside its last question has authority. What the desk itself said is in its own record; of a thread
that it does not know, the earlier messages stand in front of the question as a quotation.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.responses import Response

from api.routes import conversations
from api.schemas.conversations import NewMessage
from api.schemas.openai import ChatMessage
from api.services.turns import require_room
from api.state import ApiState
from graph.conversation.titles import title_of
from trading_core.auth.permissions import Principal
from trading_core.domain.errors import InvalidInput
from trading_core.persistence.desk_records import Conversation, RunRequest
from trading_core.persistence.records import OPEN_STATES
from trading_core.persistence.unit_of_work import UnitOfWork

LONGEST_QUESTION = 4_000
_MOST_QUOTED = 1_500  # characters of earlier messages in front of a question
_MOST_THREADS = 200  # of one user, among which the one that is meant is looked for
_MOST_LATE = 1_000


@dataclass(frozen=True, slots=True)
class Thread:
    """What a client's messages come to.

    Attributes:
        prefix: of the ids of the conversations that begin like this.
        named: by the client itself; empty when it was not.
        question: the last thing that the user said.
        earlier: all before it.
    """

    prefix: str
    named: str
    question: str
    earlier: tuple[ChatMessage, ...]

    @property
    def is_fresh(self) -> bool:
        """Whether nothing was asked before."""
        return not any(message.role == "user" for message in self.earlier)

    def asked(self, mention: str, *, quoting: bool) -> str:
        """The question as it stands in the conversation."""
        text = f"{mention} {self.question}" if mention else self.question
        if len(text) > LONGEST_QUESTION:
            raise InvalidInput(
                f"the question has {len(text):,} characters",
                not_done="Nothing was asked",
                next_step=f"Ask in at most {LONGEST_QUESTION:,}",
            )
        quoted = _quoted(self.earlier, min(_MOST_QUOTED, LONGEST_QUESTION - len(text) - 2)) if quoting else ""
        return f"{quoted}\n\n{text}" if quoted else text


def thread_of(who: Principal, account_id: str, messages: Sequence[ChatMessage], user: str, named: str) -> Thread:
    """Which thread it is.

    Args:
        user: keeps apart the threads of different people behind one key.
        named: the client's own name for it, or the id of a conversation; empty for neither.

    Raises:
        InvalidInput: there is no question.
    """
    last = max((at for at, message in enumerate(messages) if message.role == "user"), default=-1)
    question = messages[last].text.strip() if last >= 0 else ""
    if not question:
        raise InvalidInput(
            "there is no message of role user with text", not_done="Nothing was asked", next_step="Send the question as one"
        )
    if named:
        key: list[object] = ["named", named]
    else:
        first = next(at for at, message in enumerate(messages) if message.role == "user")
        key = ["begins", *((message.role, message.text) for message in messages[: first + 1])]
    digest = hashlib.sha256(json.dumps([who.name, account_id, user, key]).encode()).hexdigest()[:24]
    return Thread(f"openai-{digest}-", named, question, tuple(messages[:last]))


class Threads:
    """Finds the conversation of a thread, and asks in it.

    Attributes:
        late: runs whose answer did not come in time for the request that asked for it. The same request again gets it.
    """

    def __init__(self, state: ApiState) -> None:
        self._state = state
        self.late: dict[str, None] = {}

    def is_late(self, run_id: str) -> None:
        self.late[run_id] = None
        if len(self.late) > _MOST_LATE:
            del self.late[next(iter(self.late))]

    async def ask(self, who: Principal, account_id: str, thread: Thread, mention: str) -> tuple[str, str]:
        """Ask the question, unless it is being answered already: a client that lost its connection asks again.

        Returns:
            The conversation, and the run that answers.

        Raises:
            RunError: another question is being answered in this thread.
        """
        async with self._state.database.reading() as uow:
            known = await self._named(uow, who, account_id, thread) or await self._latest(uow, who, thread.prefix)
            last = None if known is None else await self._last_request(uow, known.id)
            is_open = last is not None and (run := await uow.runs.get(last.run_id)) is not None and run.state in OPEN_STATES
        if known is not None and last is not None and (is_open or last.run_id in self.late):
            asked = str(last.payload.get("text", ""))
            if asked in {thread.asked(mention, quoting=False), thread.asked(mention, quoting=True)}:
                self.late.pop(last.run_id, None)
                return known.id, last.run_id
        is_new = known is None or (thread.is_fresh and not thread.named)
        text = thread.asked(mention, quoting=is_new)
        conversation = await self._begin(who, account_id, thread) if is_new or known is None else known.id
        turn = await conversations.post_message(self._state, who, Response(), conversation, NewMessage(text=text), None)
        return conversation, turn.run_id

    async def _named(self, uow: UnitOfWork, who: Principal, account_id: str, thread: Thread) -> Conversation | None:
        """The caller's own conversation whose id is the thread's name, such as a client was told with an answer."""
        found = await uow.conversations.get(thread.named) if thread.named else None
        return found if found is not None and (found.owner, found.account_id) == (who.name, account_id) else None

    async def _latest(self, uow: UnitOfWork, who: Principal, prefix: str) -> Conversation | None:
        threads = await uow.conversations.page(who.name, limit=_MOST_THREADS)
        return next((one for one in threads if one.id.startswith(prefix)), None)

    async def _last_request(self, uow: UnitOfWork, conversation: str) -> RunRequest | None:
        return next(iter(await uow.run_requests.of_conversation(conversation, 1)), None)

    async def _begin(self, who: Principal, account_id: str, thread: Thread) -> str:
        now, made = self._state.clock.now(), f"{thread.prefix}{secrets.token_hex(4)}"
        async with self._state.database.transaction() as uow:
            await require_room(uow, who, account_id)  # who asks too much gets no empty threads
            await uow.conversations.add(Conversation(made, account_id, who.name, title_of(thread.question), now, now))
        return made


def _quoted(messages: Sequence[ChatMessage], most: int) -> str:
    """The end of a thread as a quotation, whose lines nobody takes for the question's own."""
    lines: list[str] = []
    for message in reversed(messages):
        block = [f"> [{message.role}] {line}" for line in message.text.split("\n") if line.strip()]
        if sum(map(len, lines)) + len(lines) + sum(map(len, block)) + len(block) > most:
            break
        lines = block + lines
    return "\n".join(lines)
