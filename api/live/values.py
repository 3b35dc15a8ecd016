"""Prices and worths as they are now, looked up while somebody listens: once for all who do."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress

from pydantic import BaseModel

from api.live.told import EQUITY, MARKET, POSITIONS
from api.schemas.events import LiveEquity, LivePosition, LivePositions, LivePrice
from api.services.marks import Marks, marks_of
from api.state import ApiState
from trading_core.domain.clock import iso
from trading_core.domain.errors import AlgoTrendyError
from trading_core.domain.portfolio import Portfolio

TICK_SECONDS = 0.1  # a price is looked at so often where it is in memory
ASK_SECONDS = 2.0  # where it comes over the network
VALUE_SECONDS = 1.0
ELSEWHERE_SECONDS = 5.0  # of an account that another process runs: its worth changes with its runs only
_IN_MEMORY = 0.02  # seconds within which a price comes that needs no network
_log = logging.getLogger("algotrendy.live")

Show = Callable[[str, str], None]
"""Takes a topic, and its item for a frame. Only the last item of a topic counts."""

Found = tuple[Mapping[str, BaseModel], float]
"""What is true now, by topic, and for how many seconds that will do."""

_Key = tuple[str, str]  # account, and the topic or what several topics are made of
_WORTH = "worth"


class Values:
    """What is told of the present. None of it is on record: whoever comes late is told the last of it."""

    def __init__(self, state: ApiState) -> None:
        self._state = state
        self._listeners: defaultdict[_Key, dict[tuple[object, str], Show]] = defaultdict(dict)
        self._tasks: dict[_Key, asyncio.Task[None]] = {}
        self._last: defaultdict[_Key, dict[str, str]] = defaultdict(dict)

    def listen(self, account_id: str, topic: str, owner: object, show: Show) -> None:
        """Have `show` told of a topic from now on, and at once of what was told last."""
        key = _key(account_id, topic)
        self._listeners[key][owner, topic] = show
        if (item := self._last[key].get(topic)) is not None:
            show(topic, item)
        if key not in self._tasks:
            self._tasks[key] = asyncio.create_task(self._run(key), name=f"live: {key[1]} of {account_id}")

    def forget(self, account_id: str, topic: str, owner: object) -> None:
        key = _key(account_id, topic)
        self._listeners[key].pop((owner, topic), None)
        if not self._listeners[key]:
            del self._listeners[key]
            self._last.pop(key, None)
            if (task := self._tasks.pop(key, None)) is not None:
                task.cancel()

    async def stop(self) -> None:
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _run(self, key: _Key) -> None:
        account_id, what = key
        news: dict[str, str] = {}
        while True:
            pause = ELSEWHERE_SECONDS
            try:
                found, pause = await (self._worth(account_id) if what == _WORTH else self._price(account_id, what))
                for topic, value in found.items():
                    told = value.model_dump_json(exclude={"at", "priced_at"})  # a later instant alone is no news
                    if news.get(topic) != told:
                        news[topic] = told
                        self._tell(key, topic, value)
            except AlgoTrendyError as error:
                _log.info("%s of %r cannot be told: %s", what, account_id, error)
            except Exception:  # the next look may be better, and listeners have no other way to learn of it
                _log.exception("%s of %r cannot be told", what, account_id)
            await asyncio.sleep(pause)

    def _tell(self, key: _Key, topic: str, value: BaseModel) -> None:
        kind = "ticker" if topic.startswith(MARKET) else topic
        told = {"topics": [topic], "position": None, "account": key[0], "kind": kind, "at": iso(self._state.clock.now())}
        item = f'{json.dumps(told, separators=(",", ":"))[:-1]},"data":{value.model_dump_json()}}}'
        self._last[key][topic] = item
        for (_, wanted), show in list(self._listeners[key].items()):
            if wanted == topic:
                show(topic, item)

    async def _price(self, account_id: str, topic: str) -> Found:
        system = self._state.desks.get(account_id)
        if system is None:
            return {}, ELSEWHERE_SECONDS
        began = time.perf_counter()
        ticker = await system.feed.ticker(topic.removeprefix(MARKET), as_of=system.clock.now())
        pause = TICK_SECONDS if time.perf_counter() - began < _IN_MEMORY else ASK_SECONDS
        return ({} if ticker is None else {topic: LivePrice.model_validate(ticker)}), pause

    async def _worth(self, account_id: str) -> Found:
        state = self._state
        async with state.database.reading() as uow:
            portfolio = await uow.portfolios.load(account_id)
        marks = await marks_of(state.desks, state.database, account_id, list(portfolio.held()))
        pause = ELSEWHERE_SECONDS if state.desks.get(account_id) is None else VALUE_SECONDS
        return {POSITIONS: _positions(portfolio, marks), EQUITY: _equity(portfolio, marks)}, pause


def _key(account_id: str, topic: str) -> _Key:
    return account_id, topic if topic.startswith(MARKET) else _WORTH


def _positions(portfolio: Portfolio, marks: Marks) -> LivePositions:
    held = portfolio.held()
    shown = []
    for symbol in sorted(held):
        position, price = held[symbol], marks.price(symbol)
        shown.append(
            LivePosition(
                symbol=symbol,
                quantity=position.quantity,
                average_cost=position.average_cost,
                price=price,
                value=None if price is None else position.value(price),
                unrealised=None if price is None else position.unrealised(price),
                realised=position.realised,
            )
        )
    return LivePositions(positions=shown, priced_at=marks.at, priced_by=marks.by)


def _equity(portfolio: Portfolio, marks: Marks) -> LiveEquity:
    equity, invested = marks.equity(portfolio), marks.invested(portfolio)
    return LiveEquity(
        currency=portfolio.currency,
        equity=equity,
        cash=portfolio.cash,
        exposure=invested / equity if equity and invested is not None else None,
        profit=None if equity is None else equity - portfolio.paid_in,
        priced_at=marks.at,
        priced_by=marks.by,
    )
