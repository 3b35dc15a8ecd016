"""A turn of a conversation as one text: for doors that show an answer in one piece, or piece by piece."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field

from pydantic import SecretStr

from api.http.dependencies import OnAccount, acting_on
from api.http.problems import TooManyRequests
from api.live.access import RunFacts, may_see
from api.live.hub import Hub
from api.services.desks import Worker, worker_of
from api.state import ApiState
from graph.events import FINAL
from trading_core.auth.identity import Identity
from trading_core.auth.permissions import Action, Principal
from trading_core.domain.errors import InvalidInput, MarketDataUnavailable, NotAuthenticated
from trading_core.persistence.desk_records import StoredEvent
from trading_core.persistence.records import RunKind
from trading_core.persistence.unit_of_work import UnitOfWork

MOST_OPEN = 20  # questions of one user on one account, of the 200 turns that a desk takes on at once
_SOON = 5  # seconds
ANEW = "(The answer begins anew.)"
_SHOWN = ("quantity", "notional", "fraction", "limit_price", "stop_price", "take_profit", "time_in_force", "expires_at")


async def account_for(state: ApiState, caller: Identity, action: Action, wanted: str = "", *, how: str) -> OnAccount:
    """The account that a caller means: the one named, the only one, or the only one whose desk is in this process.

    Args:
        how: one names an account at this door.

    Raises:
        InvalidInput: there is a choice, or nothing to choose from.
        NotFound, NotPermitted: it is not on record, or the caller may not do this on it.
    """
    if wanted:
        return await acting_on(state, caller, action, wanted)
    caller.principal.require(action)
    mine = sorted(caller.principal.accounts)
    candidates = mine if len(mine) == 1 else [account for account in mine if state.desks.get(account) is not None]
    if len(candidates) != 1:
        raise InvalidInput(
            f"there are {len(mine)} accounts that this may be about" if mine else "you have no account",
            not_done="Nothing was done",
            next_step=f"Name one of {', '.join(mine)} {how}" if mine else "Ask an admin for access to one",
        )
    return await acting_on(state, caller, action, candidates[0])


async def require_answered(state: ApiState, account_id: str) -> None:
    """Go on only when a question would be answered.

    Raises:
        MarketDataUnavailable: no process runs the account.
    """
    if await worker_of(state, account_id) is Worker.NOBODY:
        raise MarketDataUnavailable(
            f"no desk runs account {account_id!r} now, so nobody can answer",
            not_done="The question was not asked",
            next_step="Start the desk with `algotrendy serve`, then ask again",
        )


async def require_room(uow: UnitOfWork, who: Principal, account_id: str) -> None:
    """Go on only when the user has not asked so much already that others would wait for it.

    Raises:
        TooManyRequests: they have.
    """
    if await uow.run_requests.open_by(who.name, account_id, RunKind.CONVERSATION) >= MOST_OPEN:
        raise TooManyRequests(
            f"{MOST_OPEN} of your questions about {account_id!r} are open: wait for answers, or cancel some", _SOON
        )


@dataclass(slots=True)
class Speech:
    """Puts what several agents say at the same time one after the other.

    Attributes:
        headed: whether each answer begins with who gives it.
        confirming: how a card is confirmed, where its id and hash stand for `{id}` and `{hash}`.
        is_over: whether the run has told its end.
    """

    headed: bool
    confirming: str
    is_over: bool = False
    _speaking: str = ""
    _said: dict[str, str] = field(default_factory=dict)  # by agent: what was given out, or waits for its turn
    _whole: dict[str, str] = field(default_factory=dict)  # answers that are complete and wait for their turn
    _given: set[str] = field(default_factory=set)
    _cards: list[Mapping[str, object]] = field(default_factory=list)
    _began: bool = False

    def hear(self, event: StoredEvent) -> str:
        """What comes next in the text."""
        if event.kind == "token":
            return self._token(str(event.data["agent"]), str(event.data["text"]), restart=bool(event.data.get("restart")))
        if event.kind == "message":
            return self._message(str(event.data["agent"]), str(event.data["content"]))
        if event.kind == "proposal_made":
            self._cards.append(event.data)
        if event.kind in FINAL:
            return self._end(event)
        return ""

    def _token(self, agent: str, text: str, *, restart: bool) -> str:
        if agent in self._given:
            return ""
        if restart:
            had, self._said[agent] = self._said.get(agent, ""), ""
            return f"\n\n{ANEW}\n\n" if had and agent == self._speaking else ""
        if not text:
            return ""
        self._said[agent] = self._said.get(agent, "") + text
        if not self._speaking:
            return self._begin(agent) + text
        return text if agent == self._speaking else ""

    def _message(self, agent: str, content: str) -> str:
        self._said.setdefault(agent, "")
        if self._speaking and agent != self._speaking:
            self._whole[agent] = content
            return ""
        opening = "" if self._speaking else self._begin(agent)
        return opening + self._close(agent, content) + self._next()

    def _begin(self, agent: str) -> str:
        self._speaking = agent
        apart, self._began = "\n\n" if self._began else "", True
        return f"{apart}**{agent.replace('_', ' ').capitalize()}:** " if self.headed else apart

    def _close(self, agent: str, content: str) -> str:
        """The rest of an answer that is whole."""
        said = self._said[agent].strip()
        self._given.add(agent)
        self._speaking = ""
        if content.startswith(said):
            return content[len(said) :]
        return f"\n\n{content}"  # it broke off, and the message says why

    def _next(self) -> str:
        """What whoever waited longest has said by now, and everybody after who has finished."""
        parts: list[str] = []
        for agent in [name for name in self._said if name not in self._given]:
            parts.append(self._begin(agent) + self._said[agent])
            if agent not in self._whole:
                break
            parts.append(self._close(agent, self._whole[agent]))
        return "".join(parts)

    def _end(self, event: StoredEvent) -> str:
        self.is_over = True
        parts = []
        if self._speaking:
            self._given.add(self._speaking)
            self._speaking = ""
        parts.append(self._next())
        parts += [f"\n\n{card_text(card, self.confirming)}" for card in self._cards]
        if event.kind == "run_cancelled":
            parts.append("\n\nThe answer was cancelled.")
        if event.kind == "run_failed":
            parts.append(f"\n\nThe desk could not answer: {event.data.get('error') or 'its log says why'}")
        text = "".join(parts)
        return text if self._began else text.lstrip("\n")


def card_text(card: Mapping[str, object], confirming: str) -> str:
    """A card as people read it: the order exactly, what the gate says, and what to do about it."""
    ticket, preview = card["ticket"], card["preview"]
    if not isinstance(ticket, Mapping) or not isinstance(preview, Mapping):
        return ""
    details = [f"{name.replace('_', ' ')} {ticket[name]}" for name in _SHOWN if ticket.get(name) is not None]
    codes = preview.get("reason_codes")
    gate = str(preview.get("verdict", "")).replace("_", " ")
    if isinstance(codes, Sequence) and not isinstance(codes, str) and codes:
        gate += f" ({', '.join(map(str, codes))})"
    order = f"{ticket.get('side')} {ticket.get('symbol')}, {ticket.get('type', 'market')}, {', '.join(details)}"
    how = confirming.format(id=card["proposal"], hash=card["content_hash"])
    return f"Card {card['proposal']}: {order}. The gate says now: {gate}. Nothing was sent. {how} Until {card['expires_at']}."


async def spoken(hub: Hub, run: RunFacts, token: SecretStr, speech: Speech) -> AsyncGenerator[str, None]:
    """The text of a turn as it is made. The first piece is empty and comes at once, when there is room for another follower.
    It ends before the run when the server does; `speech.is_over` tells.

    Args:
        run: that whoever follows has asked for.
        token: or key that they came with. It is looked at again and again.

    Raises:
        TooManyRequests: there are too many followers.
        NotAuthenticated: the login ended, or is no longer good for this.
        StoreUnavailable: the log cannot be read.
    """
    pieces: asyncio.Queue[str | None] = asyncio.Queue()
    may_hear = True

    def looked_at(identity: Identity | None) -> None:
        nonlocal may_hear
        if identity is None or not may_see(identity.principal, run):
            may_hear = False
            pieces.put_nowait(None)

    async def follow() -> None:
        try:
            async with aclosing(hub.state.log.follow_run(run.run_id)) as events:
                async for event in events:
                    if text := speech.hear(event):
                        pieces.put_nowait(text)
        finally:
            pieces.put_nowait(None)

    with hub.room(run.requested_by, pieces, lambda: pieces.put_nowait(None)), hub.watched(token, pieces, looked_at):
        yield ""
        following = asyncio.create_task(follow(), name="turn: follower")
        try:
            while (text := await pieces.get()) is not None and may_hear:
                yield text
            if not may_hear:
                raise NotAuthenticated(
                    "the login ended while the answer was made",
                    not_done="The rest of it was not told; it is still made, and stands in the conversation",
                    next_step="Log in again, or use another key, and read it there",
                )
            if following.done():
                following.result()
        finally:
            following.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await following
