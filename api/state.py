"""What the routes work on: made once by whoever serves, the same for every request."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from api.http.rate_limits import RateLimits
from api.http.recent_logins import RecentLogins
from api.http.settings import ApiSettings
from api.http.shared_reads import SharedReads

if TYPE_CHECKING:
    from graph.runs.desks import Desks
    from graph.runs.event_log import EventLog
    from graph.runs.manager import RunManager
    from trading_core.auth.service import Auth
    from trading_core.domain.clock import Clock
    from trading_core.persistence.session import Database


class RequestObserver(Protocol):
    """Counts requests; `api.observability.metrics.Metrics` is one."""

    def observe_request(self, route: str | None, method: str, status: int, seconds: float, *, streamed: bool = False) -> None: ...


@dataclass(frozen=True, slots=True)
class ApiState:
    """Everything behind the doors of this process.

    Attributes:
        desks: the accounts that this process runs; empty in a process that only serves.
        runs: asks for runs, and works on those of `desks`.
        log: what runs tell, from this process and others.
        limits: how often somebody may ask.
        observer: told of each request's end; None when nobody counts.
        known_accounts: accounts that were found on record: none ever goes away under a desk that serves it.
        recent_logins: who was let in a moment ago.
        shared: readings that all who ask at the same time share.
        proving: held by whoever has the whole audit trail hashed: seconds of work, so one at a time.
    """

    settings: ApiSettings
    database: Database
    clock: Clock
    auth: Auth
    runs: RunManager
    log: EventLog
    desks: Desks
    limits: RateLimits
    observer: RequestObserver | None = None
    known_accounts: set[str] = field(default_factory=set)
    recent_logins: RecentLogins = field(default_factory=RecentLogins)
    shared: SharedReads = field(default_factory=SharedReads)
    proving: asyncio.Lock = field(default_factory=asyncio.Lock)
