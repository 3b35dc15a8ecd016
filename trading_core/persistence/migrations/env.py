"""Run by Alembic for every command, over the connection that `migrate.alembic_config` hands in."""

from __future__ import annotations

from typing import Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import Connection

from trading_core.persistence import audit_tables, identity_tables  # noqa: F401  # their tables join the metadata
from trading_core.persistence.schema import metadata
from trading_core.persistence.types import Exact, JsonText, OneOf, Text, UtcTime


def render(kind: str, item: object, autogen: AutogenContext) -> str | Literal[False]:
    """How a new migration spells our column types: by storage, so that an old step does not change with the code."""
    if kind != "type":
        return False
    if not isinstance(item, Exact | JsonText | OneOf | Text | UtcTime):
        return False
    name = "Text" if isinstance(item, JsonText | OneOf) else type(item).__name__
    autogen.imports.add(f"from trading_core.persistence.types import {name}")
    return f"{name}()"


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
