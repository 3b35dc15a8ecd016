"""The tables of the audit trail.

Every value is stored as the text that was hashed, times too, so that verifying needs no conversion that could hide a change.
Their triggers are made in revision 0004. A later migration that replaces one of these tables has to make them again.
"""

from __future__ import annotations

from sqlalchemy import TEXT, BigInteger, Column, Integer, Table

from trading_core.persistence.tables import metadata

_Number = BigInteger().with_variant(Integer(), "sqlite")
_Text = TEXT().with_variant(TEXT(collation="C"), "postgresql")  # not `types.Text`: what that escapes, this must show

audit_log = Table(
    "audit_log",
    metadata,
    Column("sequence", _Number, primary_key=True, autoincrement=False),
    Column("at", _Text, nullable=False, index=True),
    Column("actor", _Text, nullable=False),
    Column("action", _Text, nullable=False),
    Column("subject_kind", _Text, nullable=False),
    Column("subject_id", _Text, nullable=False),
    Column("before", _Text),
    Column("after", _Text),
    Column("correlation_id", _Text, nullable=False),
    Column("prev_hash", _Text, nullable=False),
    Column("hash", _Text, nullable=False),
)

# One row: the newest of the chain. Writers lock it, and it shows when the end of the chain was cut off.
audit_head = Table(
    "audit_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("sequence", _Number, nullable=False),
    Column("hash", _Text, nullable=False),
)
