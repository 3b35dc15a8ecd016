"""Ids of runs: known before the run is, so that asking twice makes one run."""

from __future__ import annotations

import hashlib
from datetime import datetime

from trading_core.domain.clock import utc
from trading_core.persistence.records import RunKind

_DIGITS = 24


def run_id_of(kind: RunKind, principal: str, key: str) -> str:
    """The run that a principal asks for under a key of its own choice: the same key always means the same run."""
    return f"{kind.value}-{hashlib.sha256(f'{principal}|{key}'.encode()).hexdigest()[:_DIGITS]}"


def run_id_at(schedule_id: str, tick: datetime) -> str:
    """The run of a schedule's tick, or of a session's; there is one in the world."""
    return f"{schedule_id}-{utc(tick):%Y%m%dT%H%M%SZ}"
