"""How the desk uses its database."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from trading_core.domain.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseSettings:
    """Connections and waiting times. Times are in seconds.

    Attributes:
        pool_size: connections that are kept open.
        max_overflow: connections beyond them that may be opened for a moment (PostgreSQL).
        pool_timeout: how long to wait for a connection when all are in use.
        pre_ping: whether a kept connection is tried before it is used again, so that a restarted server is not noticed
            (PostgreSQL).
        connect_timeout: how long to wait for the server to let the desk in (PostgreSQL).
        statement_timeout: after which the server gives a statement up; 0 is never. Migrations take the time they need
            (PostgreSQL).
        lock_timeout: how long a statement waits for somebody else's lock; 0 is for ever (PostgreSQL).
        idle_in_transaction_timeout: after which the server ends a transaction that nobody goes on with, and frees its locks; 0 is
            never (PostgreSQL).

    Raises:
        ConfigurationError: a value out of range.
    """

    pool_size: int = 15
    max_overflow: int = 5
    pool_timeout: float = 30.0
    pre_ping: bool = True
    connect_timeout: float = 10.0
    statement_timeout: float = 30.0
    lock_timeout: float = 10.0
    idle_in_transaction_timeout: float = 60.0

    def __post_init__(self) -> None:
        positive = {"pool_size", "pool_timeout", "connect_timeout"}
        for field in fields(self):
            value = getattr(self, field.name)
            least = 1 if field.name == "pool_size" else 0
            if not math.isfinite(value) or value < least or (field.name in positive and value == 0):
                raise ConfigurationError(
                    f"the database setting {field.name} is {value!r}",
                    not_done="The database was not opened",
                    next_step=f"Give a number {'above 0' if field.name in positive else 'of at least 0'}",
                )
