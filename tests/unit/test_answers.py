"""The answer schemas: what they take, what they refuse, and which texts are checked for numbers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from agents.answers import Answer, ExecutionPlan, MarketView, RebalancePlan, RiskPlan, Signal, reasons_of
from agents.roster import ROSTER

SIGNAL: dict[str, Any] = {
    "action": "enter",
    "order_type": "market",
    "limit_price": None,
    "stop_price": 90.0,
    "conviction": 0.5,
    "reason": "why",
}


@pytest.mark.parametrize(
    "changes",
    [
        {"action": "buy"},
        {"action": "ENTER"},
        {"stop_price": None},
        {"stop_price": 0},
        {"stop_price": float("nan")},
        {"stop_price": float("inf")},
        {"order_type": "limit"},
        {"conviction": 1.01},
        {"conviction": None},
        {"quantity": 5},
        {"reason": "x" * 901},
        {"reason": None},
    ],
)
def test_a_signal_that_breaks_its_schema_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Signal.model_validate({**SIGNAL, **changes})


def test_a_complete_signal_is_taken() -> None:
    assert Signal.model_validate(SIGNAL).action == "enter"
    assert Signal.model_validate({**SIGNAL, "order_type": "limit", "limit_price": 99}).limit_price == 99
    assert Signal.model_validate({**SIGNAL, "action": "hold", "stop_price": None}).abstained is False
    assert Signal.model_validate({**SIGNAL, "action": "abstain", "stop_price": None}).abstained is True


def test_no_answer_has_a_field_for_a_quantity_or_an_account() -> None:
    for spec in ROSTER.values():
        named = json.dumps(spec.answer.model_json_schema()["properties"]).lower()
        assert not any(word in named for word in ('"quantity"', '"account"', '"account_id"', '"principal"'))


@pytest.mark.parametrize("spec", ROSTER.values(), ids=lambda spec: spec.name)
def test_every_text_and_list_has_a_maximum(spec: Any) -> None:
    def walk(schema: Any) -> None:
        if isinstance(schema, dict):
            if schema.get("type") == "string" and "enum" not in schema and "const" not in schema:
                assert "maxLength" in schema
            if schema.get("type") == "array":
                assert "maxItems" in schema
            if schema.get("type") == "object":
                assert schema["additionalProperties"] is False
            for value in schema.values():
                walk(value)
        elif isinstance(schema, list):
            for value in schema:
                walk(value)

    walk(spec.answer.model_json_schema())


def test_every_reason_is_checked_for_numbers() -> None:
    verdict = {"symbol": "A/B", "verdict": "take", "risk_fraction": 0.01, "reason": "second"}
    risk = RiskPlan.model_validate({"abstain": False, "reason": "first", "verdicts": [verdict]})
    assert reasons_of(risk) == ["first", "second"]
    choice = {"symbol": "A/B", "style": "now", "reason": "second"}
    execution = ExecutionPlan.model_validate({"abstain": False, "reason": "first", "orders": [choice]})
    assert reasons_of(execution) == ["first", "second"]
    rebalance = RebalancePlan(abstain=True, targets=[], turnover=0, reason="only")
    assert reasons_of(rebalance) == ["only"]
    assert rebalance.abstained


@pytest.mark.parametrize("fraction", [-0.01, 0.11, float("nan")])
def test_a_size_beyond_reason_is_refused(fraction: float) -> None:
    with pytest.raises(ValidationError):
        RiskPlan.model_validate(
            {
                "abstain": False,
                "reason": "",
                "verdicts": [{"symbol": "A/B", "verdict": "take", "risk_fraction": fraction, "reason": ""}],
            }
        )


def test_answers_are_frozen() -> None:
    answer: Answer = Signal.model_validate(SIGNAL)
    with pytest.raises(ValidationError):
        answer.reason = "other"
    assert MarketView.model_fields["abstain"].is_required()
