"""Whether an account can be traded on: one look at everything that tells. A check never raises."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from trading_core.brokers.base import Broker
from trading_core.brokers.breaker import BreakerState
from trading_core.brokers.latency import Call, Latency
from trading_core.brokers.permissions import KeyPermissions, explained, was_answered
from trading_core.brokers.throttle import Throttle
from trading_core.brokers.venues.profiles import PROFILES
from trading_core.brokers.watched import WatchedBroker
from trading_core.domain.clock import Clock

LONGEST_SECONDS = 20.0
SKEW_MS = 1000
"""From here on a warning: Binance and Bybit refuse a request that is a second ahead of their clock."""
_NEEDED = ("instruments", "balances", "open_orders", "time")  # to trade; the first that failed tells most
_TOLD = {"permissions": "what the key may do", "clock": "the venue's time"}  # an account can be traded on without


@dataclass(frozen=True, slots=True)
class OpenAccount:
    """An account that this process has open.

    Attributes:
        account_id: in the ledger.
        throttle: the one its client goes through; None where nothing limits it.
    """

    account_id: str
    broker: WatchedBroker
    throttle: Throttle | None = None


@runtime_checkable
class TellsMore(Protocol):
    """What a real venue's adapter can say beyond the port."""

    async def permissions(self) -> KeyPermissions:
        """Of the account's key."""
        ...

    async def clock_skew_ms(self) -> int | None:
        """By how many milliseconds, at least, this machine's clock is ahead of the venue's; None if it tells no time."""
        ...


@dataclass(frozen=True, slots=True)
class HealthReport:
    """One look at an account. What could not be learnt is None.

    Attributes:
        reachable: the venue answered at all, also if only to turn the key away.
        error: why the account cannot be used, in one line; empty when it can.
        unknown: what else could not be learnt, one line each.
        latency: of the newest calls in this process, by kind, milliseconds.
        clock_skew_ms: by how much, at least, this machine's clock is ahead; below zero when it is behind.
        permissions: of the key; None where there is none, as on the paper exchange.
        budget_left: the fraction of the burst that the account's throttle would let go at once.
        instruments, balances, open_orders: how many there are.
    """

    account_id: str
    venue: str
    is_paper: bool
    reachable: bool
    error: str
    unknown: tuple[str, ...]
    latency: Mapping[Call, Latency]
    clock_skew_ms: int | None
    permissions: KeyPermissions | None
    budget_left: float | None
    instruments: int | None
    balances: int | None
    open_orders: int | None
    breaker: BreakerState
    checked_at: datetime

    @property
    def healthy(self) -> bool:
        """The account can be used, and has not failed so often lately that it is being left alone."""
        return not self.error and self.breaker is BreakerState.CLOSED

    @property
    def warnings(self) -> tuple[str, ...]:
        """What should be looked at though the account can be used, one line each."""
        found = [*self.unknown, *(self.permissions.warnings if self.permissions else ())]
        if self.clock_skew_ms is not None and abs(self.clock_skew_ms) > SKEW_MS:
            side = "ahead of" if self.clock_skew_ms > 0 else "behind"
            found.append(f"the clock is {abs(self.clock_skew_ms)} ms {side} the venue's: set it (NTP)")
        return tuple(found)


async def check(account: OpenAccount, *, clock: Clock, within: float = LONGEST_SECONDS) -> HealthReport:
    """Look at one account.

    Args:
        clock: for the time of the report.
        within: seconds after which what has not answered counts as failed.
    """
    broker = account.broker
    found = _Findings(broker)
    try:
        async with asyncio.timeout(within):
            await found.gather()
    except TimeoutError:
        late = f"{found.title} did not answer within {within:g} s: check the network and the venue's status page"
        found.failed.setdefault("time", late)
    return HealthReport(
        account_id=account.account_id,
        venue=broker.venue,
        is_paper=broker.is_paper,
        reachable=found.reachable,
        error=found.error,
        unknown=found.unknown,
        latency=broker.latencies.all(),
        clock_skew_ms=found.skew,
        permissions=found.permissions,
        budget_left=account.throttle.left if account.throttle else None,
        instruments=found.instruments,
        balances=found.balances,
        open_orders=found.open_orders,
        breaker=broker.breaker.state,
        checked_at=clock.now(),
    )


async def check_all(
    accounts: Iterable[OpenAccount], *, clock: Clock, within: float = LONGEST_SECONDS
) -> tuple[HealthReport, ...]:
    """Look at several side by side: one that is broken keeps nobody waiting, and spoils no other's report."""
    return tuple(await asyncio.gather(*(check(account, clock=clock, within=within) for account in accounts)))


class _Findings:
    """What a check learns, piece by piece: what came before a piece failed is kept."""

    def __init__(self, broker: WatchedBroker) -> None:
        self._broker = broker
        profile = PROFILES.get(broker.venue)
        self.title = profile.title if profile else broker.venue
        self.reachable = False
        self.failed: dict[str, str] = {}
        self.skew: int | None = None
        self.permissions: KeyPermissions | None = None
        self.instruments: int | None = None
        self.balances: int | None = None
        self.open_orders: int | None = None

    @property
    def error(self) -> str:
        """Of the pieces without which nothing can be traded, the first that failed."""
        return next((self.failed[name] for name in _NEEDED if name in self.failed), "")

    @property
    def unknown(self) -> tuple[str, ...]:
        return tuple(f"{what} is not known: {self.failed[name]}" for name, what in _TOLD.items() if name in self.failed)

    async def gather(self) -> None:
        # The markets come first: nothing else can be asked of a venue that does not give them.
        await self._learn("instruments", self._instruments, from_memory=True)
        if not self.failed:
            more = isinstance(self._broker.inner, TellsMore)
            pieces = {"balances": self._balances, "open_orders": self._open_orders}
            pieces |= {"permissions": self._permissions, "clock": self._clock} if more else {}
            await asyncio.gather(*(self._learn(name, learn) for name, learn in pieces.items()))

    async def _learn(self, name: str, learn: Callable[[Broker], Awaitable[None]], *, from_memory: bool = False) -> None:
        try:
            await self._broker.probe(learn, from_memory=from_memory)
            self.reachable = self.reachable or not from_memory
        except Exception as error:
            self.reachable = self.reachable or was_answered(error)
            self.failed[name] = explained(self.title, error)

    async def _instruments(self, broker: Broker) -> None:
        self.instruments = len(await broker.instruments())

    async def _balances(self, broker: Broker) -> None:
        self.balances = len(await broker.balances())

    async def _open_orders(self, broker: Broker) -> None:
        self.open_orders = len(await broker.open_orders())

    async def _permissions(self, broker: Broker) -> None:
        if isinstance(broker, TellsMore):
            self.permissions = await broker.permissions()

    async def _clock(self, broker: Broker) -> None:
        if isinstance(broker, TellsMore):
            self.skew = await broker.clock_skew_ms()
