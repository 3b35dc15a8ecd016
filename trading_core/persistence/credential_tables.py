"""The table of venue keys, encrypted."""

from __future__ import annotations

from sqlalchemy import Column, LargeBinary, PrimaryKeyConstraint, Table

from trading_core.persistence.tables import metadata
from trading_core.persistence.types import Text, UtcTime

venue_credentials = Table(
    "venue_credentials",
    metadata,
    Column("venue", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("nonce", LargeBinary, nullable=False),
    Column("ciphertext", LargeBinary, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("sealed_at", UtcTime, nullable=False),
    PrimaryKeyConstraint("venue", "label"),
)
