"""The harness as a task of Inspect: the same scores, and logs in which the whole trajectory is."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of other people's code, while it is imported
    inspect_ai = pytest.importorskip("inspect_ai", reason="the extra `inspect` is not installed")
    from inspect_ai.log import read_eval_log
    from inspect_ai.model import ModelOutput, ModelUsage, get_model

    from evals.inspect_tasks import KEY, desk

from evals.scorers.registry import ALL

SUITE = "halt-kill-switch"

pytestmark = pytest.mark.filterwarnings("ignore")  # Inspect is not ours to keep free of warnings


@pytest.fixture(scope="module", autouse=True)
def logging_is_left_as_it_was() -> Iterator[None]:
    """Inspect sets up the logging of the whole process, and keeps httpx's lines from every later test of this worker."""
    loggers = [logging.getLogger(name) for name in (None, "httpx", "httpx2")]
    before = [(logger, logger.level, list(logger.handlers)) for logger in loggers]
    yield
    for logger, level, handlers in before:
        logger.setLevel(level)
        logger.handlers[:] = handlers


def run(tmp_path: Path, **changes: Any) -> Any:
    (log,) = inspect_ai.eval(log_dir=str(tmp_path), display="none", log_format="json", **changes)
    assert log.status == "success", log.error
    return read_eval_log(log.location)


def test_the_rules_are_scored_as_by_the_harness(tmp_path: Path) -> None:
    log = run(tmp_path, tasks=desk(suite=SUITE, decides="rules"), model="mockllm/model")
    (sample,) = log.samples
    assert sample.id == SUITE
    assert set(sample.scores) == {scorer.__name__ for scorer in ALL}
    assert sample.scores["action"].value == 1.0
    assert sample.store[KEY]["asked"], "the trajectory is in the log"
    assert any(message.role == "tool" for message in sample.messages)
    assert "hold" in sample.output.completion


def told(answer: dict[str, Any]) -> ModelOutput:
    # With its usage: else Inspect would fetch a tokeniser to count it.
    output = ModelOutput.from_content("mockllm/model", json.dumps(answer))
    output.usage = ModelUsage(input_tokens=100, output_tokens=10, total_tokens=110)
    return output


def test_inspects_model_answers_for_the_agents_and_every_call_is_logged(tmp_path: Path) -> None:
    view = {
        "abstain": True, "trend": "sideways", "regime": "quiet", "sentiment": "unavailable", "onchain": "unavailable",
        "support": None, "resistance": None, "confidence": 0.5, "reason": "I do not know.",
    }  # fmt: skip
    model = get_model("mockllm/model", custom_outputs=[told(view)] * 4)
    log = run(tmp_path, tasks=desk(suite=SUITE), model=model)
    (sample,) = log.samples
    calls = [event for event in sample.events if event.event == "model"]
    asked = [one for one in sample.store[KEY]["asked"] if one["model_calls"]]
    assert len(calls) == sum(one["model_calls"] for one in asked) > 0
    assert all(one["abstained"] and one["answer"] == view for one in asked if one["agent"] == "market_analysis")
    assert {one["input_tokens"] for one in asked} == {100}
    assert calls[0].config.response_schema.name == "MarketView"
    assert {"get_indicators", "get_bars"} <= {tool.name for tool in calls[0].tools}
