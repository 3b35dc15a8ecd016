"""A broker that is timed, and left alone while its venue fails."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import nullcontext
from datetime import datetime
from typing import NoReturn, TypeVar

from trading_core.brokers.base import Balance, Broker, OrderReport, Update
from trading_core.brokers.breaker import Breaker, BreakerState, Pass
from trading_core.brokers.latency import Call, Latencies
from trading_core.domain.errors import AmbiguousOutcome, BrokerError, BrokerUnavailable, OrderRefused
from trading_core.domain.instruments import Instrument
from trading_core.domain.orders import Fill, OrderRequest, Side

_T = TypeVar("_T")


class WatchedBroker:
    """A `Broker` around another one, which measures each call and keeps its breaker.

    While the breaker is closed everything goes through. While it is open:

    | call | | why |
    | --- | --- | --- |
    | `instruments`, `balances`, `open_orders`, `fills` | `BrokerUnavailable` at once | nobody waits for what cannot be had |
    | `place` of a buy | `OrderRefused`, provably never sent | risk is not raised where it cannot be watched |
    | `place` of a sale or a stop | goes through | spot: it only lowers risk, and nobody is locked in |
    | `cancel` | goes through | as above |
    | `order` | goes through | only the venue's word ends an order that is unknown |

    Half-open is the same, but one of the first row goes through at a time, as the trial. A buy is never the trial: its failure
    would leave an order unknown.

    Whatever goes through while it is not closed counts as a trial: the first answer closes the breaker. Ambiguity and
    unavailability are failures. A refusal is none, unless it was made here because the venue could not be read. A call that is
    cancelled says nothing, nor does it that instruments come: an adapter has them in memory.

    Args:
        inner: becomes this one's to close.
        latencies: of its calls, throttle and repeated tries included.

    Attributes:
        inner, breaker, latencies: as given.
    """

    def __init__(self, inner: Broker, *, breaker: Breaker, latencies: Latencies) -> None:
        self.inner, self.breaker, self.latencies = inner, breaker, latencies
        self.venue, self.is_paper = inner.venue, inner.is_paper

    async def instruments(self) -> Mapping[str, Instrument]:
        return await self._read("the instruments", self.inner.instruments, from_memory=True)

    async def balances(self) -> Mapping[str, Balance]:
        return await self._read("the balances", self.inner.balances)

    async def open_orders(self) -> Sequence[OrderReport]:
        return await self._read("the open orders", self.inner.open_orders)

    async def fills(self, *, since: datetime) -> Sequence[Fill]:
        return await self._read("the fills", lambda: self.inner.fills(since=since))

    async def order(self, client_order_id: str, symbol: str) -> OrderReport | None:
        return await self._watched(Call.READ, self.breaker.insist(), lambda: self.inner.order(client_order_id, symbol))

    async def place(self, request: OrderRequest) -> OrderReport:
        leave = self._leave_to_buy(request) if request.side is Side.BUY else self.breaker.insist()
        return await self._watched(Call.PLACE, leave, lambda: self.inner.place(request))

    async def cancel(self, client_order_id: str, symbol: str) -> OrderReport:
        return await self._watched(Call.CANCEL, self.breaker.insist(), lambda: self.inner.cancel(client_order_id, symbol))

    def updates(self) -> AsyncIterator[Update]:
        """The stream as it is. It has an end of its own, and says by itself when it has missed something."""
        return self.inner.updates()

    async def probe(self, read: Callable[[Broker], Awaitable[_T]], *, from_memory: bool = False) -> _T:
        """A read for a health check. It goes through whatever the state, and counts as a trial.

        Args:
            from_memory: it may be answered without the venue: only its failure says something.
        """
        return await self._watched(None if from_memory else Call.READ, self.breaker.insist(), lambda: read(self.inner))

    async def close(self) -> None:
        await self.inner.close()

    async def _read(self, what: str, ask: Callable[[], Awaitable[_T]], *, from_memory: bool = False) -> _T:
        leave = self.breaker.ask()
        if leave is None:
            self._unavailable(what)
        return await self._watched(None if from_memory else Call.READ, leave, ask)

    def _unavailable(self, what: str) -> NoReturn:
        raise BrokerUnavailable(
            f"{self.venue} was not asked for {what}: its last calls failed ({self.breaker.reason})",
            not_done="Nothing was assumed in its place",
            next_step=f"It is tried again in {self.breaker.opens_again_in:.0f} s",
        )

    def _leave_to_buy(self, request: OrderRequest) -> Pass:
        leave = self.breaker.ask() if self.breaker.state is BreakerState.CLOSED else None
        if leave is None:
            raise OrderRefused(
                f"order {request.client_order_id!r} was kept back: the last calls of {self.venue} failed ({self.breaker.reason})",
                not_done="It never left the desk: nothing was sent",
                next_step="Enter at another account, or again when the venue answers",
            )
        return leave

    async def _watched(self, call: Call | None, leave: Pass, ask: Callable[[], Awaitable[_T]]) -> _T:
        """One call. None is one that may be answered from memory: it is not measured, and its success proves no venue."""
        try:
            with self.latencies.measured(call) if call is not None else nullcontext():
                answer = await ask()
        except (AmbiguousOutcome, BrokerUnavailable) as error:
            self.breaker.failed(leave, error.what)
            raise
        except BrokerError as error:
            if isinstance(error.__cause__, BrokerUnavailable):
                self.breaker.failed(leave, error.what)
            else:
                self.breaker.succeeded(leave)
            raise
        except BaseException:
            self.breaker.abandoned(leave)
            raise
        if call is None:
            self.breaker.abandoned(leave)
        else:
            self.breaker.succeeded(leave)
        return answer
