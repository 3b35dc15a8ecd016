"""The repositories of one transaction."""

from __future__ import annotations

from functools import cached_property

from sqlalchemy.ext.asyncio import AsyncConnection

from trading_core.persistence.repositories.agent_settings import AgentSettingsRepository
from trading_core.persistence.repositories.answers import AnswersRepository
from trading_core.persistence.repositories.api_keys import ApiKeysRepository
from trading_core.persistence.repositories.approvals import ApprovalsRepository
from trading_core.persistence.repositories.audit import AuditRepository
from trading_core.persistence.repositories.broker_accounts import BrokerAccountsRepository
from trading_core.persistence.repositories.claims import Claims
from trading_core.persistence.repositories.conversations import ConversationsRepository
from trading_core.persistence.repositories.credentials import CredentialsRepository
from trading_core.persistence.repositories.decisions import DecisionsRepository, EvidenceRepository
from trading_core.persistence.repositories.events import EventsRepository
from trading_core.persistence.repositories.figures import FiguresRepository
from trading_core.persistence.repositories.fills import FillsRepository
from trading_core.persistence.repositories.intents import IntentsRepository
from trading_core.persistence.repositories.kept_answers import KeptAnswersRepository
from trading_core.persistence.repositories.leases import LeasesRepository
from trading_core.persistence.repositories.logins import LoginsRepository
from trading_core.persistence.repositories.orders import OrdersRepository
from trading_core.persistence.repositories.pages import PagesRepository
from trading_core.persistence.repositories.pauses import PausesRepository
from trading_core.persistence.repositories.portfolios import PortfoliosRepository
from trading_core.persistence.repositories.proposals import ProposalsRepository
from trading_core.persistence.repositories.risk import RiskRepository
from trading_core.persistence.repositories.run_requests import RunRequestsRepository
from trading_core.persistence.repositories.runs import RunsRepository, SessionsRepository, SnapshotsRepository
from trading_core.persistence.repositories.schedules import SchedulesRepository
from trading_core.persistence.repositories.strategies import StrategiesRepository
from trading_core.persistence.repositories.transfers import TransfersRepository
from trading_core.persistence.repositories.users import LoginFailuresRepository, UsersRepository


class UnitOfWork:
    """Every repository, on the connection of one transaction.

    Attributes:
        claims: which accounts this transaction writes to; the first write to an account takes its claim.
        memo: what earlier transactions of the same commit left for later ones. It is gone if the commit fails.
    """

    def __init__(self, connection: AsyncConnection, memo: dict[str, object] | None = None) -> None:
        self.memo = {} if memo is None else memo
        self.claims = Claims(connection, self.memo)
        self._connection = connection

    @cached_property
    def sessions(self) -> SessionsRepository:
        return SessionsRepository(self._connection)

    @cached_property
    def runs(self) -> RunsRepository:
        return RunsRepository(self._connection, self.claims)

    @cached_property
    def snapshots(self) -> SnapshotsRepository:
        return SnapshotsRepository(self._connection)

    @cached_property
    def decisions(self) -> DecisionsRepository:
        return DecisionsRepository(self._connection)

    @cached_property
    def evidence(self) -> EvidenceRepository:
        return EvidenceRepository(self._connection)

    @cached_property
    def answers(self) -> AnswersRepository:
        return AnswersRepository(self._connection)

    @cached_property
    def intents(self) -> IntentsRepository:
        return IntentsRepository(self._connection, self.claims)

    @cached_property
    def approvals(self) -> ApprovalsRepository:
        return ApprovalsRepository(self._connection)

    @cached_property
    def orders(self) -> OrdersRepository:
        return OrdersRepository(self._connection, self.claims)

    @cached_property
    def fills(self) -> FillsRepository:
        return FillsRepository(self._connection, self.claims)

    @cached_property
    def portfolios(self) -> PortfoliosRepository:
        return PortfoliosRepository(self._connection, self.claims)

    @cached_property
    def pages(self) -> PagesRepository:
        return PagesRepository(self._connection)

    @cached_property
    def transfers(self) -> TransfersRepository:
        return TransfersRepository(self._connection, self.claims)

    @cached_property
    def broker_accounts(self) -> BrokerAccountsRepository:
        return BrokerAccountsRepository(self._connection)

    @cached_property
    def strategies(self) -> StrategiesRepository:
        return StrategiesRepository(self._connection)

    @cached_property
    def risk(self) -> RiskRepository:
        return RiskRepository(self._connection, self.claims)

    @cached_property
    def audit(self) -> AuditRepository:
        return AuditRepository(self._connection, self.memo)

    @cached_property
    def credentials(self) -> CredentialsRepository:
        return CredentialsRepository(self._connection)

    @cached_property
    def figures(self) -> FiguresRepository:
        return FiguresRepository(self._connection)

    @cached_property
    def users(self) -> UsersRepository:
        return UsersRepository(self._connection)

    @cached_property
    def logins(self) -> LoginsRepository:
        return LoginsRepository(self._connection)

    @cached_property
    def login_failures(self) -> LoginFailuresRepository:
        return LoginFailuresRepository(self._connection)

    @cached_property
    def api_keys(self) -> ApiKeysRepository:
        return ApiKeysRepository(self._connection)

    @cached_property
    def run_requests(self) -> RunRequestsRepository:
        return RunRequestsRepository(self._connection)

    @cached_property
    def events(self) -> EventsRepository:
        return EventsRepository(self._connection)

    @cached_property
    def conversations(self) -> ConversationsRepository:
        return ConversationsRepository(self._connection)

    @cached_property
    def proposals(self) -> ProposalsRepository:
        return ProposalsRepository(self._connection)

    @cached_property
    def schedules(self) -> SchedulesRepository:
        return SchedulesRepository(self._connection)

    @cached_property
    def pauses(self) -> PausesRepository:
        return PausesRepository(self._connection)

    @cached_property
    def agent_settings(self) -> AgentSettingsRepository:
        return AgentSettingsRepository(self._connection)

    @cached_property
    def kept_answers(self) -> KeptAnswersRepository:
        return KeptAnswersRepository(self._connection)

    @cached_property
    def leases(self) -> LeasesRepository:
        return LeasesRepository(self._connection)
