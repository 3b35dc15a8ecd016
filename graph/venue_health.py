"""Looking at every account at a venue: whether it answers, how fast, and what its key may do. Nothing is written to a venue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graph.accounts import VenueAccess
from trading_core.auth.agents import runner
from trading_core.brokers.factory import BrokerFactory
from trading_core.brokers.health import HealthReport, OpenAccount
from trading_core.brokers.manager import BrokerManager
from trading_core.domain.clock import Clock
from trading_core.domain.errors import AlgoTrendyError
from trading_core.persistence.repositories.broker_accounts import BrokerAccount
from trading_core.persistence.session import Database

_USUAL = {"coinbase": "BTC/USD", "kraken": "BTC/USD"}  # what nearly everybody there can trade; elsewhere BTC/USDT


@dataclass(frozen=True, slots=True)
class AccountHealth:
    """An account and what a look at it gave: a report, or why it could not even be opened."""

    account: BrokerAccount
    report: HealthReport | None
    unusable: str = ""


async def look(accounts: Sequence[BrokerAccount], access: VenueAccess, database: Database, clock: Clock) -> list[AccountHealth]:
    """Every account side by side; one that is broken spoils no other's."""
    factory, opened, unusable = access.factory(database, clock), list[OpenAccount](), dict[str, str]()
    for account in accounts:
        try:
            opened.append(await _make(factory, account, database, clock))
        except AlgoTrendyError as error:
            unusable[account.id] = str(error)
    async with BrokerManager(opened, clock=clock) as manager:
        reports = {report.account_id: report for report in await manager.health()}
    return [AccountHealth(one, reports.get(one.id), unusable.get(one.id, "")) for one in accounts]


async def _make(factory: BrokerFactory, account: BrokerAccount, database: Database, clock: Clock) -> OpenAccount:
    async with database.reading() as uow:
        run = await uow.runs.last_of_account(account.id)
        session = await uow.sessions.get(run.session_id) if run and run.session_id else None
    traded = session.config.get("symbols") if session else None
    symbols = [str(symbol) for symbol in traded] if isinstance(traded, list) else [_USUAL.get(account.venue, "BTC/USDT")]
    return await factory.make(runner(account.id), account, symbols, history_from=clock.now())
