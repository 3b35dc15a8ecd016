"""JSON over HTTP for sources: one request, one answer or one clear error, and the key in neither.

A key joins the request below everything that logs or fails: the client above knows the address without it, so that neither
httpx's own log line nor any exception can hold it. Errors quote nothing of what came: an answer is outside text.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import NoReturn

import httpx
from pydantic import SecretStr

from data_channels.answer import Json, Node
from trading_core.domain.errors import ChannelRefused, ChannelUnavailable, ConfigurationError

MAX_BYTES = 2_000_000
"""Of one answer, decompressed. The largest of those asked for here is below a tenth of it."""

_CONNECT = 5.0
_REFUSED = {401: "the key is not accepted", 402: "it wants to be paid", 403: "the key or its plan does not allow it"}


class JsonService:
    """One service on one host, over kept-alive connections. It asks once; whether to ask again is the hub's to decide.

    Args:
        name: of the service, for errors.
        base_url: scheme and host, with a path in front of all others where there is one.
        secret_headers: sent with each request.
        secret_params: in the query of each request, for a service that wants its key there.
        timeout: seconds from the question to the last byte of the answer.

    Attributes:
        requests: asked so far, answered or not.

    Raises:
        ConfigurationError: the address or a key cannot be used in a request.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        *,
        secret_headers: Mapping[str, SecretStr] | None = None,
        secret_params: Mapping[str, SecretStr] | None = None,
        timeout: float = 15.0,
    ) -> None:
        self.requests = 0
        self._name = name
        self._timeout = timeout
        keys = _Keys(name, secret_headers or {}, secret_params or {})
        # No proxy, certificate or netrc is taken from the environment: what a source uses is passed to it.
        self._client = httpx.AsyncClient(
            base_url=_checked(name, base_url),
            transport=keys,
            timeout=httpx.Timeout(timeout, connect=min(_CONNECT, timeout)),
            headers={"Accept": "application/json"},
            follow_redirects=False,
            trust_env=False,
        )

    async def get(self, path: str, params: Mapping[str, str] | None = None, *, now: datetime) -> Node:
        """The JSON at a path. Numbers come as int or exact Decimal.

        Args:
            now: a `Retry-After` that is a date is counted from here.

        Raises:
            ChannelUnavailable: no answer, none in time, or one that is not usable.
            ChannelRefused: 401, 402 or 403.
        """
        self.requests += 1
        try:
            async with asyncio.timeout(self._timeout):
                async with self._client.stream("GET", path, params=dict(params or {})) as response:
                    self._check(response, path, now)
                    body = await self._body(response, path)
        except TimeoutError as error:
            self._fail(path, f"did not answer within {self._timeout:g} s", error)
        except httpx.TimeoutException as error:
            self._fail(path, "took too long", error)
        except httpx.HTTPError as error:
            self._fail(path, f"the connection failed ({type(error).__name__})", error)
        return Node(self._parsed(body, path), self._name, path)

    async def close(self) -> None:
        await self._client.aclose()

    def _check(self, response: httpx.Response, path: str, now: datetime) -> None:
        status = response.status_code
        if status == 200:
            return
        if status in _REFUSED:
            raise ChannelRefused(
                f"{self._name} refused {path}: {_REFUSED[status]} (HTTP {status})",
                not_done="It is not asked again",
                next_step="Check its key and what its plan includes, then restart",
            )
        wait = _retry_after(response.headers.get("Retry-After"), now)
        if status == 404:
            self._fail(path, "there is no such path (HTTP 404)")
        if status == 429:
            self._fail(path, "too many requests (HTTP 429)", retry_after=wait)
        self._fail(path, f"HTTP {status}", retry_after=wait)

    async def _body(self, response: httpx.Response, path: str) -> bytes:
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > MAX_BYTES:
                self._fail(path, f"the answer is larger than {MAX_BYTES} bytes")
        return bytes(body)

    def _parsed(self, body: bytes, path: str) -> Json:
        if not body.strip():
            self._fail(path, "the answer is empty")
        try:
            parsed: Json = json.loads(body, parse_float=Decimal, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            what = "a page (HTML)" if body.lstrip()[:1] == b"<" else "not JSON, or only a part of it"
            self._fail(path, f"the answer is {what}", error)
        return parsed

    def _fail(self, path: str, why: str, error: BaseException | None = None, *, retry_after: float | None = None) -> NoReturn:
        raise ChannelUnavailable(f"{self._name} {path}: {why}", retry_after=retry_after) from error


class _Keys(httpx.AsyncBaseTransport):
    """The last step before the line: puts the keys in."""

    def __init__(self, name: str, headers: Mapping[str, SecretStr], params: Mapping[str, SecretStr]) -> None:
        for key in (*headers.values(), *params.values()):
            # What the line refuses would come back inside an error, in full.
            if not (text := key.get_secret_value()) or not text.isascii() or not text.isprintable() or text != text.strip():
                raise ConfigurationError(
                    f"the key for {name} is empty or has characters that no key has",
                    not_done="It was not sent",
                    next_step="Set it again, without spaces around it or line ends",
                )
        self._headers, self._params = headers, params
        self._line = httpx.AsyncHTTPTransport(trust_env=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url.copy_merge_params({name: key.get_secret_value() for name, key in self._params.items()})
        headers = request.headers.copy()
        headers.update({name: key.get_secret_value() for name, key in self._headers.items()})
        keyed = httpx.Request(request.method, url, headers=headers, stream=request.stream, extensions=request.extensions)
        return await self._line.handle_async_request(keyed)

    async def aclose(self) -> None:
        await self._line.aclose()


def _checked(name: str, base_url: str) -> str:
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL:
        url = httpx.URL("")
    if url.scheme not in ("http", "https") or not url.host or url.userinfo or url.query or url.fragment:
        raise ConfigurationError(
            f"the address for {name} is not a plain http or https address",
            not_done="It was not asked",
            next_step="Give scheme, host and path only; a key has its own setting",
        )
    return base_url


def _retry_after(told: str | None, now: datetime) -> float | None:
    """Seconds of a `Retry-After`, which is a number of seconds or an HTTP date (RFC 9110, 10.2.3); None when it is neither."""
    if told is None:
        return None
    if told.strip().isdecimal() and len(told) < 10:
        return float(told)
    try:
        until = parsedate_to_datetime(told)
    except ValueError:
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return max(0.0, (until - now).total_seconds())


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
