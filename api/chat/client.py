"""The API as a client sees it: requests that may be repeated, and a run's events without a gap or a repeat."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx

from api.chat.address import desk_address
from api.chat.login import Credential
from api.chat.problems import ApiProblem, DeskUnreachable, problem_of
from graph.events import FINAL

PREFIX = "/api/v1"
_TRIES = 3
_LONGEST_PAUSE = 5.0  # seconds that the desk may ask us to wait before we tell the person instead
_SILENCE = 45.0  # seconds without a byte after which a stream is given up; the desk sends one every 15
_PAUSES = (0.2, 0.5, 1.0, 2.0)


@dataclass(frozen=True, slots=True)
class Event:
    """One step of a run, as the API tells it."""

    sequence: int
    kind: str
    data: Mapping[str, Any]


class _Over(Exception):
    """A run told all before, and will tell nothing more."""


def http_client(url: str, transport: httpx.AsyncBaseTransport | None = None) -> httpx.AsyncClient:
    """A client of the desk at an address, without anybody's rights.

    Raises:
        ConfigurationError: it is no address that secrets may be sent to.
    """
    return httpx.AsyncClient(base_url=desk_address(url) + PREFIX, timeout=httpx.Timeout(35, connect=5), transport=transport)


class DeskClient:
    """Asks the API as somebody.

    Args:
        patience: seconds that a broken stream may take to come back.
    """

    def __init__(self, http: httpx.AsyncClient, credential: Credential, *, patience: float = 60.0) -> None:
        self._http, self._credential, self._patience = http, credential, patience

    async def get(self, path: str, **query: object) -> Any:
        """Read something.

        Raises:
            ApiProblem: the desk said no.
            DeskUnreachable: it did not say anything.
        """
        asked = {name: value for name, value in query.items() if value is not None}
        return await self._ask("GET", path, params=asked)

    async def post(self, path: str, body: Mapping[str, object] | None = None) -> Any:
        """Have something done, once: where the connection breaks it is asked again under the same key.

        Raises:
            ApiProblem: the desk said no.
            DeskUnreachable: it did not say anything.
        """
        return await self._ask("POST", path, json=body, headers={"Idempotency-Key": uuid4().hex})

    async def follow(self, run_id: str, after: int = 0, lost: Callable[[], None] = lambda: None) -> AsyncGenerator[Event, None]:
        """A run's events from behind the sequence `after` until it is over, each once and in order, over broken connections.

        Args:
            lost: called when the connection broke and is sought again.

        Raises:
            ApiProblem: the run is not there, or not to be seen.
            DeskUnreachable: the connection did not come back in time.
        """
        heard, tries = time.monotonic(), 0
        while True:
            try:
                async with aclosing(self._streamed(run_id, after)) as events:
                    async for event in events:
                        heard = time.monotonic()
                        if event is None:  # a silent run is no desk that is gone
                            continue
                        tries, after = 0, event.sequence
                        yield event
                        if event.kind in FINAL:
                            return
            except _Over:
                return
            except (httpx.TransportError, DeskUnreachable) as error:
                if time.monotonic() - heard > self._patience:
                    raise DeskUnreachable(
                        f"the connection to the desk broke off while run {run_id!r} was followed ({type(error).__name__})",
                        not_done="The run goes on without us",
                        next_step=f"/watch {run_id} shows the rest when the desk is there again",
                    ) from None
                lost()
            await asyncio.sleep(_pause(tries))
            tries += 1

    async def _streamed(self, run_id: str, after: int) -> AsyncGenerator[Event | None, None]:
        """One connection's events; None for whatever else is heard.

        Raises:
            _Over: there are no more events.
        """
        bearer = await self._credential.bearer(self._http)
        headers = {"Authorization": f"Bearer {bearer}", "Accept": "text/event-stream"}
        if after:
            headers["Last-Event-ID"] = str(after)
        timeout = httpx.Timeout(10, read=_SILENCE)
        async with self._http.stream("GET", f"/runs/{run_id}/events", headers=headers, timeout=timeout) as answer:
            if answer.status_code == 204:
                raise _Over
            if answer.is_error:
                await answer.aread()
                if answer.status_code == 401 and await self._credential.renew(self._http, bearer):
                    return
                problem = problem_of(answer)
                if answer.status_code in (429, 502, 503, 504):
                    raise DeskUnreachable(problem.what)
                raise problem
            data = ""
            async for line in answer.aiter_lines():
                if line.startswith("data:"):
                    data += line[5:].strip()
                elif not data:
                    yield None
                elif not line:
                    told, data = json.loads(data), ""
                    if told["sequence"] > after:
                        yield Event(told["sequence"], told["kind"], told["data"])

    async def _ask(self, method: str, path: str, headers: Mapping[str, str] | None = None, **parts: Any) -> Any:
        renewed = False
        for left in reversed(range(_TRIES)):
            try:
                bearer = await self._credential.bearer(self._http)
                sent = {**(headers or {}), "Authorization": f"Bearer {bearer}"}
                answer = await self._http.request(method, path, headers=sent, **parts)
            except httpx.TransportError as error:
                if left:
                    await asyncio.sleep(_pause(_TRIES - 1 - left))
                    continue
                raise unreachable(self._http, error, wrote=method != "GET") from None
            if answer.is_success:
                return answer.json() if answer.content else None
            if answer.status_code == 401 and not renewed and left and await self._credential.renew(self._http, bearer):
                renewed = True
                continue
            problem = problem_of(answer)
            wait = _wait(answer, problem)
            if not left or wait is None:
                raise problem
            await asyncio.sleep(wait)
        raise AssertionError("the last try answers or raises")


def unreachable(http: httpx.AsyncClient, error: httpx.TransportError, *, wrote: bool) -> DeskUnreachable:
    """What a broken connection means to whoever asked."""
    where = f"{http.base_url.scheme}://{http.base_url.netloc.decode()}"
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return DeskUnreachable(
            f"no desk answers at {where}",
            not_done="Nothing was done",
            next_step="Start one with `algotrendy serve`, or give --url",
        )
    return DeskUnreachable(
        f"the connection to {where} broke off ({type(error).__name__})",
        not_done="Whether it was done is not known" if wrote else "Nothing was changed",
        next_step="Look at /orders and /approvals before you ask again" if wrote else "Ask again",
    )


def _pause(tries: int) -> float:
    """Seconds before the next try."""
    return _PAUSES[min(tries, len(_PAUSES) - 1)]


def _wait(answer: httpx.Response, problem: ApiProblem) -> float | None:
    """Seconds after which asking again makes sense; None when a person should hear of it now."""
    if answer.status_code != 429 and problem.kind != "in-progress":
        return None
    try:
        seconds = float(answer.headers.get("Retry-After", "1"))
    except ValueError:
        return None
    return seconds if seconds <= _LONGEST_PAUSE else None
