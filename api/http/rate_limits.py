"""How often somebody may ask: by address, by user and, for logins, by name.

Fixed windows of a minute. In this process's memory, or in Redis, where processes share them; when Redis fails, each process
counts for itself until it is back: less exact, never open.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Any

from limits import RateLimitItemPerMinute
from limits.aio.storage import RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter
from pydantic import SecretStr

from api.http.problems import TooManyRequests
from api.http.settings import ApiSettings
from trading_core.auth.opaque import digest
from trading_core.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from redis.asyncio import ConnectionPool

WINDOW = 60  # seconds
_ASK_REDIS_AGAIN = 5.0  # seconds after it failed
_REDIS_TIMEOUT = 0.25  # seconds
_IPV6_HOUSEHOLD = 64  # bits: whoever has one address of such a network has all of them
_log = logging.getLogger("algotrendy.api")


@dataclass(frozen=True, slots=True)
class Count:
    """What a window says. `reset` is seconds until it ends."""

    limit: int
    used: int
    reset: int

    @property
    def exceeded(self) -> bool:
        return self.used > self.limit

    def headers(self, policy: str) -> dict[str, str]:
        """https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/"""
        left = max(0, self.limit - self.used)
        return {
            "RateLimit-Policy": f'"{policy}";q={self.limit};w={WINDOW}',
            "RateLimit": f'"{policy}";r={left};t={self.reset}',
        }


class MemoryWindows:
    """Counts of the present window. All of them are forgotten when it ends, so that keys cannot pile up."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._window = -1
        self._counts: dict[tuple[str, str], int] = {}

    def hit(self, policy: str, key: str, limit: int) -> Count:
        now = self._now()
        if (window := int(now // WINDOW)) != self._window:
            self._window = window
            self._counts.clear()
        used = self._counts.get((policy, key), 0) + 1
        self._counts[policy, key] = used
        return Count(limit, used, int((window + 1) * WINDOW - now) + 1)


class RateLimits:
    """The limits in force. One for each process; `close` it at the end.

    Args:
        now: Unix time, seconds.
    """

    def __init__(self, settings: ApiSettings, now: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._now = now
        self._memory = MemoryWindows(now)
        self._redis: FixedWindowRateLimiter | None = None
        self._pool: ConnectionPool | None = None
        self._redis_failed_at: float | None = None
        if settings.redis_url is not None:
            self._pool = _pool(settings.redis_url)
            # The pool has the address; limits reads only the scheme.
            options: dict[str, Any] = {"connection_pool": self._pool}
            storage = RedisStorage("async+redis://", wrap_exceptions=True, implementation="redispy", **options)
            self._redis = FixedWindowRateLimiter(storage)

    async def address(self, address: str, headers: dict[str, str]) -> None:
        """Count a request of an address. Each of these tells `headers` what is left.

        Raises:
            TooManyRequests: it is one too many; so with the others.
        """
        await self._count("address", _network(address), self._settings.per_ip, headers)

    async def login(self, address: str, name: str, headers: dict[str, str]) -> None:
        """Count an attempt to log in, by where it comes from and by whose name it is for."""
        await self._count("logins-address", _network(address), self._settings.logins_per_ip, headers)
        await self._count("logins-name", digest(name.casefold().strip()), self._settings.logins_per_name, headers)

    async def reads(self, user: str, headers: dict[str, str]) -> None:
        await self._count("reads", user, self._settings.reads_per_user, headers)

    async def writes(self, user: str, headers: dict[str, str]) -> None:
        await self._count("writes", user, self._settings.writes_per_user, headers)

    async def close(self) -> None:
        if self._pool is not None:
            await self._pool.aclose()

    async def _count(self, policy: str, key: str, limit: int, headers: dict[str, str]) -> None:
        count = await self._hit(policy, key, limit)
        headers.update(count.headers(policy))
        if count.exceeded:
            raise TooManyRequests(f"more than {limit} requests a minute ({policy})", count.reset)

    async def _hit(self, policy: str, key: str, limit: int) -> Count:
        if self._redis is not None and self._redis_answers():
            try:
                return await self._shared(self._redis, policy, key, limit)
            except Exception as error:  # whatever Redis does, the door stays shut to those who ask too often
                self._redis_failed_at = self._now()
                _log.warning("Redis failed (%s): requests are counted by each process alone", type(error).__name__)
        return self._memory.hit(policy, key, limit)

    def _redis_answers(self) -> bool:
        return self._redis_failed_at is None or self._now() - self._redis_failed_at >= _ASK_REDIS_AGAIN

    async def _shared(self, redis: FixedWindowRateLimiter, policy: str, key: str, limit: int) -> Count:
        item = RateLimitItemPerMinute(limit, namespace="algotrendy")
        allowed = await redis.hit(item, policy, key)
        reset, left = await redis.get_window_stats(item, policy, key)
        self._redis_failed_at = None
        return Count(limit, limit - left if allowed else limit + 1, max(1, int(reset - self._now()) + 1))


def _pool(url: SecretStr) -> ConnectionPool:
    try:
        from redis.asyncio import ConnectionPool

        return ConnectionPool.from_url(
            url.get_secret_value(), socket_timeout=_REDIS_TIMEOUT, socket_connect_timeout=_REDIS_TIMEOUT
        )
    except (ImportError, ValueError) as error:
        raise ConfigurationError(
            "ALGOTRENDY_API_REDIS_URL cannot be used: "
            + ("redis is not installed" if isinstance(error, ImportError) else "no URL"),
            not_done="The API was not started",
            next_step="Install the extra `redis`, and write the URL like redis://host:6379/0",
        ) from None


@lru_cache(maxsize=4_096)
def _network(address: str) -> str:
    """What counts as one client: an address of IPv4, a household's network of IPv6."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ip_network((parsed, _IPV6_HOUSEHOLD), strict=False))
    return str(parsed)
