"""Which store a location means."""

from __future__ import annotations

from pathlib import Path

from data_channels.store.sql import SqlStore
from trading_core.domain.errors import ConfigurationError


async def open_store(location: str | Path) -> SqlStore:
    """Open the store at a path (DuckDB) or `postgresql://…`, and make it when it is not there.

    Raises:
        ConfigurationError: the location cannot be meant, or what is there is newer than this code.
        StoreUnavailable: it is out of reach, or a file that another process has open.
    """
    where = str(location)
    if where.startswith(("postgresql://", "postgres://")):
        from data_channels.store.postgresql_store import PostgresStore

        return await PostgresStore.open(where)
    if "://" in where:
        raise ConfigurationError(
            "time series are kept in a file or in PostgreSQL",
            not_done="Nothing was opened",
            next_step="Give a path or postgresql://…",
        )
    from data_channels.store.duckdb_store import DuckDbStore

    return await DuckDbStore.open(Path(where))
