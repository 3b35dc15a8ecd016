"""Everything a database says about its own schema, to be compared."""

from __future__ import annotations

from sqlalchemy import Connection, Inspector, inspect
from sqlalchemy.ext.asyncio import AsyncEngine

_TRIGGERS = {
    "sqlite": "SELECT name, tbl_name || ': ' || sql FROM sqlite_master WHERE type = 'trigger'",
    "postgresql": "SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
}
_FUNCTIONS = "SELECT proname, pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
_SEQUENCES = "SELECT sequencename, data_type::text || start_value || increment_by FROM pg_sequences WHERE schemaname = 'public'"


async def described(engine: AsyncEngine) -> dict[str, object]:
    """Tables with columns, types, constraints and indexes; triggers, functions and sequences."""
    async with engine.connect() as connection:
        return await connection.run_sync(_described)


def _described(connection: Connection) -> dict[str, object]:
    inspector, dialect = inspect(connection), connection.dialect.name
    found: dict[str, object] = {name: _table(inspector, name, connection) for name in inspector.get_table_names()}
    found["triggers"] = _pairs(connection, _TRIGGERS[dialect])
    if dialect == "postgresql":
        found["functions"], found["sequences"] = _pairs(connection, _FUNCTIONS), _pairs(connection, _SEQUENCES)
    found["views"] = sorted(inspector.get_view_names())
    return found


def _table(inspector: Inspector, name: str, connection: Connection) -> dict[str, object]:
    columns = {
        column["name"]: (column["type"].compile(connection.dialect), column["nullable"], column["default"])
        for column in inspector.get_columns(name)
    }
    lists = (inspector.get_foreign_keys, inspector.get_unique_constraints, inspector.get_check_constraints, inspector.get_indexes)
    rest = {of.__name__: sorted(map(str, of(name))) for of in lists}
    return {"columns": columns, "key": inspector.get_pk_constraint(name), **rest}


def _pairs(connection: Connection, query: str) -> dict[str, str]:
    return {name: " ".join(text.split()) for name, text in connection.exec_driver_sql(query)}
