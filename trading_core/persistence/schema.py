"""The whole schema: `metadata` with the tables of every part. What looks at all tables imports it from here."""

from __future__ import annotations

from trading_core.persistence import audit_tables, credential_tables, desk_tables, identity_tables
from trading_core.persistence.tables import metadata as metadata

PARTS = (audit_tables, credential_tables, desk_tables, identity_tables)  # importing them puts their tables into `metadata`
