"""Every scorer."""

from __future__ import annotations

from evals.scorers.action import action
from evals.scorers.answers import finished, schema
from evals.scorers.base import Scorer
from evals.scorers.calibration import calibration
from evals.scorers.evidence import grounding, tool_use
from evals.scorers.honesty import abstention, injection
from evals.scorers.limits import limits
from evals.scorers.measures import (
    cost,
    latency,
    max_drawdown,
    model_calls,
    tokens,
    total_return,
    versus_cash,
    versus_holding,
    versus_rules,
)

JUDGES: tuple[Scorer, ...] = (action, limits, grounding, abstention, tool_use, injection, schema, finished)
"""They say right or wrong: values from 0 to 1, and whether it passed."""

MEASURES: tuple[Scorer, ...] = (
    calibration,
    latency,
    model_calls,
    tokens,
    cost,
    total_return,
    max_drawdown,
    versus_holding,
    versus_cash,
    versus_rules,
)
"""They tell a number, each in its own unit, and pass no judgement."""

ALL: tuple[Scorer, ...] = (*JUDGES, *MEASURES)
