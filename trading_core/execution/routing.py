"""Entering at the best of several accounts, and at another one only when the first provably took nothing.

An entry has one plan: the accounts it may go to, in their order. The plan is written down before the first attempt, once for
everybody who wants the same, and is followed from then on. So two processes, or one before and after a crash, never try two
accounts at the same time, whatever each of them thinks of the venues by then.

The next account is tried only after an order of which the venue, or the desk's own breaker, said no and nothing else was ever
said. Not after one that was ever unknown, even when the venue later has no such order: it could still arrive. Not after the
gate has said no: a limit is not shopped around. And a sale goes nowhere but to the account that holds what it sells.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from trading_core.auth.permissions import Principal
from trading_core.brokers.manager import Route
from trading_core.domain.clock import Clock
from trading_core.domain.errors import ConfigurationError, InvalidInput
from trading_core.domain.intents import CORE, RiskDecision, TradeIntent, digest, make_client_order_id
from trading_core.domain.money import ZERO, plain
from trading_core.domain.orders import Order, OrderEvent, Side
from trading_core.execution.desk import Desk
from trading_core.execution.forms import WorkingStyle
from trading_core.persistence.records import EvidenceRecord
from trading_core.persistence.session import Database
from trading_core.persistence.unit_of_work import UnitOfWork

_TOOL = "routes"  # under which a plan stands among the evidence of its run


@dataclass(frozen=True, slots=True)
class Attempt:
    """One account's answer: the order that was sent, or the gate's decision that kept it back."""

    account_id: str
    result: Order | RiskDecision


@dataclass(frozen=True, slots=True)
class Entered:
    """What came of an entry.

    Attributes:
        routes: what was known of the accounts when the plan was made; empty when an earlier plan was followed.
        attempts: in their order; empty when no account could be used. Nothing was sent then, and it may be asked again.
    """

    routes: tuple[Route, ...]
    attempts: tuple[Attempt, ...]

    @property
    def result(self) -> Order | RiskDecision | None:
        """Of the last attempt, which is the only one that may have bought anything."""
        return self.attempts[-1].result if self.attempts else None


class EntryRouter:
    """Enters at the best of several desks.

    Args:
        desks: by account id.
        database: the ledger of all of them.
        routes: ranks accounts, such as `BrokerManager.routes`. Those of other desks are left out.
        clock: for the record.
    """

    def __init__(
        self,
        desks: Mapping[str, Desk],
        database: Database,
        routes: Callable[[str, Side, Decimal], Awaitable[Sequence[Route]]],
        clock: Clock,
    ) -> None:
        self._desks, self._database, self._routes, self._clock = dict(sorted(desks.items())), database, routes, clock

    async def enter(self, principal: Principal, wanted_for: Callable[[str], TradeIntent], style: WorkingStyle) -> Entered:
        """Propose and submit a buy at the best account, and at the next while one provably takes nothing.

        Wanting the same again follows the same plan, and sends nothing twice.

        Args:
            wanted_for: the intent for an account id: of one run, symbol and side for all, with an id of its own for each
                (`leg` names the account). Accounts are ranked for the quantity of the first by id.

        Raises:
            NotPermitted: the principal may not propose or submit it at one of the accounts.
            InvalidInput: it is a sale, the intents do not belong together, or they have expired.
            ConfigurationError: real and paper accounts are mixed, or the plan names an account that is not open here.
            StoreUnavailable: the ledger cannot be read or written.
        """
        wanted = {account_id: wanted_for(account_id) for account_id in self._desks}
        _check(wanted)
        first = next(iter(wanted.values()))
        routes: tuple[Route, ...] = ()
        plan = await self._planned(first.run_id, wanted)
        if plan is None:
            routes = await self._ranked(first)
            plan = await self._plan(wanted, routes)
        attempts: list[Attempt] = []
        for account_id in plan:
            attempt = Attempt(account_id, await self._attempt(principal, wanted[account_id], style))
            attempts.append(attempt)
            if not await self._took_nothing(attempt.result):
                break
        return Entered(routes, tuple(attempts))

    async def leave(self, principal: Principal, wanted: TradeIntent, style: WorkingStyle) -> Order | RiskDecision:
        """Propose and submit a sale at its own account, and nowhere else.

        Raises:
            NotPermitted: the principal may not propose or submit it.
            InvalidInput: it is no sale, the account is not open here, or it holds nothing of the symbol.
            BrokerUnavailable: see `Desk.submit`.
        """
        if wanted.side is not Side.SELL:
            raise InvalidInput(f"a {wanted.side.value} leaves nothing", not_done="It was not proposed", next_step="Enter with it")
        async with self._database.reading() as uow:
            known = await uow.orders.get(make_client_order_id(wanted.intent_id))
            held = {name: (await uow.portfolios.load(name)).position(wanted.symbol).quantity for name in self._desks}
        if known is None and held.get(wanted.account_id, ZERO) <= 0:
            holders = ", ".join(name for name, quantity in held.items() if quantity > 0)
            raise InvalidInput(
                f"account {wanted.account_id!r} holds no {wanted.symbol}",
                not_done="Nothing was sold",
                next_step=f"Sell it where it is held: {holders}" if holders else "No account holds any",
            )
        return await self._attempt(principal, wanted, style)

    async def _ranked(self, wanted: TradeIntent) -> tuple[Route, ...]:
        routes = await self._routes(wanted.symbol, wanted.side, wanted.quantity)
        mine = tuple(route for route in routes if route.account_id in self._desks)
        if len({route.is_paper for route in mine}) > 1:
            raise ConfigurationError(
                "the accounts to choose from are partly real and partly paper",
                not_done="Nothing was sent",
                next_step="Route over real accounts or over paper accounts, never both",
            )
        return mine

    async def _planned(self, run_id: str, wanted: Mapping[str, TradeIntent]) -> tuple[str, ...] | None:
        async with self._database.reading() as uow:
            return self._usable(await _find_plan(uow, run_id, wanted))

    async def _plan(self, wanted: Mapping[str, TradeIntent], routes: Sequence[Route]) -> tuple[str, ...]:
        """Write the plan down, unless somebody was faster: then it is theirs. Without a usable account there is none."""
        first = next(iter(wanted.values()))
        chosen = [
            {"account_id": route.account_id, "intent_id": wanted[route.account_id].intent_id, "reason": route.reason}
            for route in routes
            if route.usable
        ]
        if not chosen:
            return ()
        others = [{"account_id": route.account_id, "reason": route.reason} for route in routes if not route.usable]
        record = EvidenceRecord(
            run_id=first.run_id,
            id=f"route:{digest(sorted(one.intent_id for one in wanted.values()))[:16]}",
            agent=CORE,
            subject=first.symbol,
            tool=_TOOL,
            arguments={"symbol": first.symbol, "side": first.side.value, "quantity": plain(first.quantity)},
            result={"plan": chosen, "not": others},
            created_at=self._clock.now(),
        )
        async with self._database.transaction() as uow:
            # Whoever plans for one of these accounts waits here for whoever else does.
            for account_id in wanted:
                await uow.claims.take(account_id)
            plan = self._usable(await _find_plan(uow, first.run_id, wanted))
            if plan is not None:
                return plan
            await uow.evidence.put_many([record])
        return tuple(one["account_id"] for one in chosen)

    def _usable(self, plan: tuple[str, ...] | None) -> tuple[str, ...] | None:
        missing = [account_id for account_id in plan or () if account_id not in self._desks]
        if missing:
            raise ConfigurationError(
                f"the entry was planned for account {missing[0]!r} too, which is not open here",
                not_done="Nothing was sent",
                next_step="Open the account: the entry may work there",
            )
        return plan

    async def _attempt(self, principal: Principal, intent: TradeIntent, style: WorkingStyle) -> Order | RiskDecision:
        """What became of the intent already, or what becomes of it now."""
        desk = self._desks[intent.account_id]
        async with self._database.reading() as uow:
            known = await uow.orders.get(make_client_order_id(intent.intent_id))
        if known is None:
            await desk.propose(principal, intent)  # what it denies stays denied when it is submitted
        return await desk.submit(principal, intent.intent_id, style)

    async def _took_nothing(self, result: Order | RiskDecision) -> bool:
        """Whether an order was refused, and a refusal is all that was ever heard of it."""
        if not isinstance(result, Order):
            return False
        async with self._database.reading() as uow:
            events = await uow.orders.events(result.client_order_id)
        return [step.event for step in events] == [OrderEvent.REFUSED]


def _check(wanted: Mapping[str, TradeIntent]) -> None:
    """Whether the intents are one entry.

    Raises:
        InvalidInput: they are not.
    """
    if not wanted:
        raise InvalidInput("no account is open to enter at", not_done="Nothing was sent", next_step="Open one")
    for account_id, intent in wanted.items():
        if intent.side is not Side.BUY:
            raise InvalidInput(
                f"a sale of {intent.symbol} is not routed", not_done="It was not proposed", next_step="Leave where it is held"
            )
        if intent.account_id != account_id:
            raise InvalidInput(f"the intent for account {account_id!r} names {intent.account_id!r}", not_done="Nothing was sent")
    same = {(intent.run_id, intent.symbol, intent.purpose) for intent in wanted.values()}
    if len(same) > 1 or len({intent.intent_id for intent in wanted.values()}) < len(wanted):
        raise InvalidInput(
            "the intents for the accounts are not one entry",
            not_done="Nothing was sent",
            next_step="Give them one run, symbol and purpose, and each an id of its own: let `leg` name the account",
        )


async def _find_plan(uow: UnitOfWork, run_id: str, wanted: Mapping[str, TradeIntent]) -> tuple[str, ...] | None:
    """The plan of the run that has one of these intents in it."""
    ids = {intent.intent_id for intent in wanted.values()}
    for record in await uow.evidence.of_run(run_id):
        if record.tool == _TOOL and record.agent == CORE and isinstance(record.result, Mapping):
            plan = record.result["plan"]
            if any(one["intent_id"] in ids for one in plan):
                return tuple(one["account_id"] for one in plan)
    return None
