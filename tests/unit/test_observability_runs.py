"""Counting events: what is in them, whoever wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from api.observability.run_metrics import RunMetrics
from graph.control.costs import listed_prices
from trading_core.persistence.desk_records import StoredEvent

NOW = datetime(2025, 3, 1, tzinfo=UTC)


class Counted:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.metrics = RunMetrics(self.registry)

    def __call__(self, kind: str, data: Mapping[str, object]) -> None:
        self.metrics.count(StoredEvent(1, "paper", "r", 1, kind, NOW, data))

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"algotrendy_{name}", labels)

    @property
    def series(self) -> int:
        return sum(len(family.samples) for family in self.registry.collect())


def message(**changes: object) -> dict[str, object]:
    usage = {"model_calls": 2, "input_tokens": 1_000_000, "output_tokens": 500_000, "seconds": 1.5}
    return {"agent": "risk", "grounded": True, "failed": "", "model": "rules", "usage": usage, **changes}


def test_an_answer_in_a_conversation_is_counted_with_its_cost() -> None:
    name, price = next((name, price) for name, price in listed_prices().items() if not price.is_free and "@" not in name)
    model = f"openai:{name} at https://api.openai.com/v1"
    count = Counted()
    count("message", message(model=model))
    labels = {"agent": "risk", "model": model}
    assert count.value("agent_answers_total", outcome="answered", **labels) == 1
    assert count.value("model_calls_total", **labels) == 2
    assert count.value("model_tokens_total", direction="input", **labels) == 1_000_000
    assert count.value("model_tokens_total", direction="output", **labels) == 500_000
    assert count.value("model_cost_usd_total", **labels) == pytest.approx(float(price.input + price.output / 2))
    assert count.value("agent_answer_duration_seconds_sum", agent="risk") == 1.5


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [({}, "answered"), ({"grounded": False}, "ungrounded"), ({"grounded": False, "failed": "no answer"}, "abstained")],
)
def test_what_an_answer_came_to(changes: dict[str, object], outcome: str) -> None:
    count = Counted()
    count("message", message(**changes))
    assert count.value("agent_answers_total", agent="risk", outcome=outcome, model="rules") == 1


def test_a_model_whose_price_is_not_known_costs_nothing_that_is_told() -> None:
    count = Counted()
    count("message", message(model="openai:somebodys at http://127.0.0.1:1/v1"))
    assert count.value("model_cost_usd_total", agent="risk", model="openai:somebodys at http://127.0.0.1:1/v1") is None


def test_a_denial_is_counted_by_its_reasons() -> None:
    count = Counted()
    count("gate_decided", {"decision": {"verdict": "denied", "reason_codes": ["cash", "stale_price"]}})
    count("order_denied", {"decision": {"verdict": "denied", "reason_codes": ["cash"]}})
    count("gate_decided", {"decision": {"verdict": "approved", "reason_codes": []}})
    assert count.value("gate_decisions_total", verdict="denied") == 2
    assert count.value("gate_decisions_total", verdict="approved") == 1
    assert count.value("gate_denials_total", reason="cash") == 2
    assert count.value("gate_denials_total", reason="stale_price") == 1


def test_names_that_nobody_declared_make_no_time_series() -> None:
    count = Counted()
    for number in range(500):
        count("tool_called", {"agent": f"agent {number}", "tool": f"made up {number}"})
        count("message", message(agent=f"agent {number}", model=f"model {number}"))
        count(f"kind {number}", {})
    assert count.value("tool_calls_total", agent="other", tool="other") == 500
    assert count.value("events_total", kind="other") == 500
    assert count.series < 1_000


KINDS = ["agent_answered", "message", "tool_called", "gate_decided", "order_denied", "order_sent", "fill_booked", "token"]
NAMES = ["outcome", "decision", "agent", "usage", "model", "evidence", "tool", "order", "verdict", "reason_codes", "seconds"]
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)),
    max_leaves=12,
)


@given(st.lists(st.tuples(st.sampled_from(KINDS), st.dictionaries(st.sampled_from(NAMES), JSON, max_size=5)), max_size=5))
def test_no_event_stops_the_counting(events: list[tuple[str, dict[str, object]]]) -> None:
    count = Counted()
    for kind, data in events:
        count(kind, data)
    told = sum(count.value("events_total", kind=kind) or 0 for kind in KINDS)
    assert told == len(events)
