"""The names on spans, and what is put on them without a model in the way."""

from __future__ import annotations

import pytest
from langchain_core.messages import AIMessage
from opentelemetry import trace
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.semconv.attributes import error_attributes, server_attributes

from agents import telemetry
from agents.models.openai_compatible import build
from agents.models.rules import RulesModel
from agents.models.spec import parse
from agents.telemetry import ModelIdentity
from graph import telemetry as of_runs


def test_the_names_are_those_of_the_conventions() -> None:
    known = {
        value
        for module in (gen_ai_attributes, error_attributes, server_attributes)
        for name, value in vars(module).items()
        if name.isupper()
    }
    ours = {
        value
        for module in (telemetry, of_runs)
        for name, value in vars(module).items()
        if name.isupper() and not name.startswith("_") and isinstance(value, str) and not value.startswith("algotrendy.")
    }
    assert len(ours) >= 18
    assert ours <= known


@pytest.mark.parametrize(
    ("endpoint", "address", "port"),
    [
        ("http://127.0.0.1:8123/v1", "127.0.0.1", 8123),
        ("https://models.example.org/v1", "models.example.org", 443),
        ("http://[::1]/v1", "::1", 80),
    ],
)
def test_how_a_model_is_named(endpoint: str, address: str, port: int) -> None:
    model = build(parse({"model": "openai:any", "base_url": endpoint, "api_key": "k"}))
    assert ModelIdentity.of(model) == ModelIdentity("openai", "any", address, port)
    assert ModelIdentity.of(RulesModel()) == ModelIdentity("algotrendy", "rules")


def test_without_an_sdk_a_span_does_nothing_and_errors_go_on() -> None:
    def fail() -> None:
        with telemetry.spanned("chat", {}) as span:
            assert not span.is_recording()
            telemetry._answered(span, [AIMessage("x")])
            raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        fail()
    assert not trace.get_current_span().is_recording()
