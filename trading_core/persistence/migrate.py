"""Bringing a database to the newest tables, or back."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from trading_core.domain.errors import ConfigurationError


def alembic_config(connection: Connection) -> Config:
    """Alembic's settings, for the migrations inside this package and over `connection`."""
    config = Config()
    # Alembic expands %: a folder may have one in its name.
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


async def upgrade(engine: AsyncEngine, revision: str = "head") -> None:
    """Migrate up to `revision`, all steps in one transaction.

    Raises:
        ConfigurationError: the database is newer than this code, or the migration would break a reference.
    """
    async with engine.begin() as connection:
        await connection.run_sync(_upgrade, revision)


async def downgrade(engine: AsyncEngine, revision: str) -> None:
    """Migrate down to `revision` ("base" removes every table and all data), all steps in one transaction."""
    async with engine.begin() as connection:
        await connection.run_sync(_downgrade, revision)


def _upgrade(connection: Connection, revision: str) -> None:
    config = alembic_config(connection)
    scripts = ScriptDirectory.from_config(config)
    current = MigrationContext.configure(connection).get_current_revision()
    if current is not None and current == scripts.get_current_head():
        return
    if current is not None and current not in {script.revision for script in scripts.walk_revisions()}:
        raise ConfigurationError(
            f"the database is at revision {current!r}, which this version does not know",
            not_done="It was not opened",
            next_step="Use the version that wrote it, or a newer one",
        )
    command.upgrade(config, revision)
    _check_references(connection)


def _downgrade(connection: Connection, revision: str) -> None:
    command.downgrade(alembic_config(connection), revision)
    _check_references(connection)


def _check_references(connection: Connection) -> None:
    # SQLite migrates with foreign keys off (see session.create_engine) and checks them afterwards.
    if connection.dialect.name != "sqlite":
        return
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
    if broken is not None:
        raise ConfigurationError(
            f"the migration would leave a row of {broken[0]!r} without its {broken[2]!r}",
            not_done="The database was not migrated",
            next_step="Restore a backup or mend the row",
        )
