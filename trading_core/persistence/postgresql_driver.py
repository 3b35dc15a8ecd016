"""PostgreSQL connections: what a URL may say, what every connection is set to, and why one could not be made.

The limits are set when a connection is made, so that no statement is ever without them.
https://www.postgresql.org/docs/current/runtime-config-client.html
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
from sqlalchemy import URL
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg

from trading_core.domain.errors import ConfigurationError, StoreUnavailable
from trading_core.persistence.settings import DatabaseSettings

APPLICATION = "algotrendy"  # how the desk is named in pg_stat_activity

_OPTIONS = frozenset({"host", "port", "ssl"})
_GRACE = 5.0  # seconds after which a statement that the server should have given up means that the server is out of reach


def checked(url: URL) -> URL:
    """`url` as the driver takes it: libpq's `sslmode` is its `ssl`.

    Raises:
        ConfigurationError: the URL names no database, or has an option that the driver does not take.
    """
    if not url.database:
        raise ConfigurationError("the database URL names no database", next_step="Give postgresql://USER@HOST/DATABASE")
    options = {"ssl" if name == "sslmode" else name: value for name, value in url.query.items()}
    if unknown := sorted(set(options) - _OPTIONS):
        raise ConfigurationError(
            f"the database URL has the unknown option {unknown[0]!r}",
            not_done="Nothing was opened",
            next_step="Options are host, port and sslmode",
        )
    return url.set(query=options)


def connector(url: URL, settings: DatabaseSettings, *, migrating: bool) -> Callable[[], Awaitable[asyncpg.Connection]]:
    """What opens connections to `url`, for `create_async_engine(async_creator=...)`.

    Args:
        migrating: lets statements take the time they need: an index on a large table is not built within a desk's limits.

    Raises:
        StoreUnavailable: when called: the server is not there, does not let the desk in, or has no such database.
    """
    arguments = _arguments(url)
    statement, lock, idle = settings.statement_timeout, settings.lock_timeout, settings.idle_in_transaction_timeout
    if migrating:
        statement = idle = 0
    limits = {
        "application_name": APPLICATION,
        "timezone": "UTC",
        "statement_timeout": _ms(statement),
        "lock_timeout": _ms(lock),
        "idle_in_transaction_session_timeout": _ms(idle),
    }

    async def connect() -> asyncpg.Connection:
        try:
            return await asyncpg.connect(
                **arguments,
                timeout=settings.connect_timeout,
                command_timeout=statement + _GRACE if statement else None,
                server_settings=limits,
            )
        except TimeoutError:
            why = f"no answer within {settings.connect_timeout:g} s"
        except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            why = str(error).partition("\n")[0] or type(error).__name__
        raise StoreUnavailable(
            f"the database server cannot be used: {why}",
            not_done="Nothing was read or written",
            next_step="Check that it runs, its address, the user and the password",
        ) from None

    return connect


def _arguments(url: URL) -> dict[str, Any]:
    dialect = PGDialect_asyncpg()  # type: ignore[no-untyped-call]  # SQLAlchemy's dialects have no annotations
    _, arguments = dialect.create_connect_args(url)  # type: ignore[no-untyped-call]  # nor these
    return dict(arguments)


def _ms(seconds: float) -> str:
    return str(round(seconds * 1000))
