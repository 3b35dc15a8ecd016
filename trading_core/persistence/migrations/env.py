"""Run by Alembic for every command, over the connection that `migrate.alembic_config` hands in."""

from __future__ import annotations

from typing import Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import Connection

from trading_core.persistence.tables import metadata
from trading_core.persistence.types import Exact, JsonText, OneOf, UtcTime


def render(kind: str, item: object, autogen: AutogenContext) -> str | Literal[False]:
    """How a new migration spells our column types: by storage, so that an old step does not change with the code."""
    if kind != "type":
        return False
    if isinstance(item, JsonText | OneOf):
        return "sa.Text()"
    if isinstance(item, Exact | UtcTime):
        autogen.imports.add("from trading_core.persistence.types import Exact, UtcTime")
        return f"{type(item).__name__}()"
    return False


def run(connection: Connection) -> None:
    """Run the command's steps over `connection`."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=True,  # SQLite cannot alter a column in place
        render_item=render,
        compare_type=True,
        transactional_ddl=True,  # the engine begins transactions itself, so SQLite's DDL is part of them
    )
    with context.begin_transaction():
        context.run_migrations()


run(context.config.attributes["connection"])
