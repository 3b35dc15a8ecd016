"""What is served to the load: a ledger that a session has written, and people who are logged in."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from api.signing_keys import token_keys
from graph.config import SessionConfig
from graph.session import trade
from graph.system import TradingSystem
from trading_core.auth.passwords import HashCost
from trading_core.auth.permissions import Action, Principal
from trading_core.auth.roles import Role
from trading_core.auth.service import Auth, AuthSettings
from trading_core.domain.clock import SystemClock
from trading_core.persistence.session import Database
from trading_core.secrets.port import SecretChain

SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT", "XRP/USDT", "BNB/USDT")
SEED = 11
LOGINS_OF_ONE = 20  # a user's; each has a token of its own
_CHEAP = HashCost(memory_kib=8, passes=1)  # of passwords: logging in is not what is measured
_PASSWORD = SecretStr("granite willow comet 71")


@dataclass(frozen=True, slots=True)
class World:
    """Where it is and who may come in.

    Attributes:
        database: a path or URL, as `--database` takes it.
        tokens: access tokens, each of a login of its own; good for ten minutes.
    """

    home: str
    database: str
    account: str
    tokens: list[str]
    orders: int
    fills: int
    runs: int


async def build(home: Path, location: str | None, *, cycles: int, logins: int) -> World:
    """Trade for a while on a generated market, then log everybody in.

    Args:
        location: of the ledger; None for a SQLite file in `home`.
    """
    place = location or str(home / "ledger.db")
    config = SessionConfig.parse(
        {"symbols": SYMBOLS, "cycles": cycles, "seed": SEED, "limits": {"approval_above_notional": None}, "rebalance_every": 3}
    )
    async with await Database.open(place) as database:
        async with TradingSystem.open(config, home, database=location, opened=database) as system:
            account = system.desk.account_id
            async for _ in trade(system):
                pass
        tokens = await log_in(home, database, account, logins)
        async with database.reading() as uow:
            orders = await uow.orders.all(account)
            fills = await uow.fills.of_account(account)
            runs = await uow.runs.recent(10_000)
    return World(str(home), place, account, tokens, len(orders), len(fills), len(runs))


async def log_in(home: Path, database: Database, account: str, count: int) -> list[str]:
    """Make users of an account, and give the access tokens of so many logins."""
    keys = await token_keys(home, SecretChain([]))
    auth = Auth.over(database, SystemClock(), keys, AuthSettings(hash_cost=_CHEAP))
    root = Principal("benchmark", frozenset(Action), frozenset({account}))
    names = [f"user-{number:03}" for number in range(-(-count // LOGINS_OF_ONE))]
    for name in names:
        await auth.users.create(root, name, f"{name}@example.org", _PASSWORD, Role.TRADER, (account,))

    async def often(name: str, times: int) -> list[str]:
        return [(await auth.logins.login(name, _PASSWORD)).access.get_secret_value() for _ in range(times)]

    found = await asyncio.gather(*(often(name, LOGINS_OF_ONE) for name in names))
    # One after the other in turn, so that neighbours among the tokens belong to different users.
    return [token for row in zip(*found, strict=True) for token in row][:count]
