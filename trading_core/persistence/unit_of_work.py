"""The repositories of one transaction."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from trading_core.persistence.repositories.answers import AnswersRepository
from trading_core.persistence.repositories.approvals import ApprovalsRepository
from trading_core.persistence.repositories.decisions import DecisionsRepository, EvidenceRepository
from trading_core.persistence.repositories.fills import FillsRepository
from trading_core.persistence.repositories.intents import IntentsRepository
from trading_core.persistence.repositories.orders import OrdersRepository
from trading_core.persistence.repositories.portfolios import PortfoliosRepository
from trading_core.persistence.repositories.risk import RiskRepository
from trading_core.persistence.repositories.runs import RunsRepository, SessionsRepository, SnapshotsRepository


class UnitOfWork:
    """Every repository, on the connection of one transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self.sessions = SessionsRepository(connection)
        self.runs = RunsRepository(connection)
        self.snapshots = SnapshotsRepository(connection)
        self.decisions = DecisionsRepository(connection)
        self.evidence = EvidenceRepository(connection)
        self.answers = AnswersRepository(connection)
        self.intents = IntentsRepository(connection)
        self.approvals = ApprovalsRepository(connection)
        self.orders = OrdersRepository(connection)
        self.fills = FillsRepository(connection)
        self.portfolios = PortfoliosRepository(connection)
        self.risk = RiskRepository(connection)
