"""The accounts that a process has open: how each is doing, and where an order would best go."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from types import MappingProxyType, TracebackType
from typing import Self

from trading_core.brokers.breaker import BreakerState
from trading_core.brokers.health import LONGEST_SECONDS, HealthReport, OpenAccount, check_all
from trading_core.brokers.latency import Call
from trading_core.domain.clock import Clock
from trading_core.domain.errors import BrokerError, ConfigurationError, InvalidInput
from trading_core.domain.instruments import Instrument
from trading_core.domain.money import ZERO, plain
from trading_core.domain.orders import Side

_HUNDRED = Decimal(100)
RENEWED_AFTER = timedelta(seconds=60)
"""How old a report may be that a route rests on. The breaker is always asked as it is."""


@dataclass(frozen=True, slots=True)
class Route:
    """One account that an order could go to.

    Attributes:
        usable: whether it should.
        reason: what speaks for it, or why not.
        fee: of taking the whole quantity there, in base; None where it is not known.
        latency_ms: the median of placing an order, or of reading where none was placed yet; None before any call.
    """

    account_id: str
    venue: str
    is_paper: bool
    usable: bool
    reason: str
    fee: Decimal | None
    latency_ms: float | None


class BrokerManager:
    """Every open account, by its id in the ledger.

    Args:
        accounts: become this one's to close.
        clock: for reports and their age.
        within: seconds after which a check gives an account up.

    Raises:
        ConfigurationError: two accounts have one id.
    """

    def __init__(self, accounts: Iterable[OpenAccount], *, clock: Clock, within: float = LONGEST_SECONDS) -> None:
        by_id: dict[str, OpenAccount] = {}
        for account in accounts:
            if account.account_id in by_id:
                raise ConfigurationError(
                    f"account {account.account_id!r} is open twice",
                    not_done="Nothing was traded",
                    next_step="Open it once: two clients would share its rate limit without knowing of each other",
                )
            by_id[account.account_id] = account
        self.accounts: Mapping[str, OpenAccount] = MappingProxyType(dict(sorted(by_id.items())))
        self._clock, self._within = clock, within
        self._reports: dict[str, HealthReport] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    def account(self, account_id: str) -> OpenAccount:
        """An account by its id.

        Raises:
            InvalidInput: it is not open here.
        """
        try:
            return self.accounts[account_id]
        except KeyError:
            raise InvalidInput(
                f"account {account_id!r} is not open here",
                not_done="Nothing was done",
                next_step=f"Open are {', '.join(self.accounts)}" if self.accounts else "None is: add one first",
            ) from None

    async def health(self) -> tuple[HealthReport, ...]:
        """A new report of each account, by id. It never raises, and a venue that is broken keeps no other from being told of."""
        reports = await check_all(self.accounts.values(), clock=self._clock, within=self._within)
        self._reports |= {report.account_id: report for report in reports}
        return reports

    async def routes(self, symbol: str, side: Side, quantity: Decimal) -> tuple[Route, ...]:
        """Every account, the best first: those that are usable by fee, then by latency, then by id; then the rest by id.

        A buy wants the market listed, the quantity within the market's bounds, an account that is well, a closed breaker and a
        key that may trade. A sale wants an account that holds the quantity, however it is doing: there is no other way out.

        Args:
            quantity: base.
        """
        await self._renew()
        routes = await asyncio.gather(*(self._route(one, symbol, side, quantity) for one in self.accounts.values()))
        return tuple(sorted(routes, key=_rank))

    async def close(self) -> None:
        """Close every account, also when one of them fails to."""
        closed = await asyncio.gather(*(one.broker.close() for one in self.accounts.values()), return_exceptions=True)
        failed = [error for error in closed if isinstance(error, BaseException)]
        if failed:
            raise failed[0]

    async def _renew(self) -> None:
        oldest = self._clock.now() - RENEWED_AFTER
        old = [
            account
            for account_id, account in self.accounts.items()
            if (known := self._reports.get(account_id)) is None or known.checked_at < oldest
        ]
        for report in await check_all(old, clock=self._clock, within=self._within):
            self._reports[report.account_id] = report

    async def _route(self, account: OpenAccount, symbol: str, side: Side, quantity: Decimal) -> Route:
        broker = account.broker
        measured = broker.latencies.of(Call.PLACE) or broker.latencies.of(Call.READ)
        latency = measured.p50 if measured else None

        def route(reason: str, *, usable: bool = False, fee: Decimal | None = None) -> Route:
            return Route(account.account_id, broker.venue, broker.is_paper, usable, reason, fee, latency)

        try:
            instrument = (await broker.instruments()).get(symbol)
        except BrokerError as error:
            return route(error.what)
        if instrument is None:
            return route(f"it does not list {symbol}")
        fee = quantity * instrument.taker_fee
        against = _misfit(instrument, quantity)
        if not against:
            buys = side is Side.BUY
            against = self._unwell(account) if buys else await _not_held(account, instrument.base, quantity)
        if against:
            return route(against, fee=fee)
        speed = "no call measured yet" if latency is None else f"{latency:.0f} ms"
        taken = f"fee {plain(instrument.taker_fee * _HUNDRED)} % ({plain(fee)} {instrument.base})"
        return route(f"{taken}, {speed}", usable=True, fee=fee)

    def _unwell(self, account: OpenAccount) -> str:
        """Why nothing should be entered there now; empty when it may be."""
        breaker, report = account.broker.breaker, self._reports[account.account_id]
        if breaker.state is not BreakerState.CLOSED:
            return f"its last calls failed: {breaker.reason}"
        if report.permissions is not None and report.permissions.can_trade is False:
            return "its key cannot trade"
        return report.error


def _misfit(instrument: Instrument, quantity: Decimal) -> str:
    """Why the market does not take the quantity; empty when it does."""
    lots = instrument.floor_quantity(quantity)
    if lots <= 0 or lots < instrument.min_quantity:
        return f"{plain(quantity)} is below its minimum of {plain(max(instrument.min_quantity, instrument.lot_size))}"
    if instrument.max_quantity is not None and lots > instrument.max_quantity:
        return f"{plain(quantity)} is above its maximum of {plain(instrument.max_quantity)}"
    return ""


async def _not_held(account: OpenAccount, base: str, quantity: Decimal) -> str:
    """Why the account cannot sell the quantity; empty when it can. What its own stops hold counts: a sale takes them back."""
    try:
        balance = (await account.broker.balances()).get(base)
    except BrokerError as error:
        return error.what
    held = balance.total if balance is not None else ZERO
    return "" if held >= quantity else f"it holds {plain(held)} {base}"


def _rank(route: Route) -> tuple[bool, Decimal, float, str]:
    if not route.usable or route.fee is None:
        return True, ZERO, 0.0, route.account_id
    return False, route.fee, float("inf") if route.latency_ms is None else route.latency_ms, route.account_id
