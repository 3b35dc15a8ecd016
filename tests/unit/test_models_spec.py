"""Model settings: what is accepted, and the one line that says why something is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from agents.models.spec import HOSTED_URL, ModelSettings, parse
from trading_core.domain.errors import ConfigurationError

LOCAL = "http://127.0.0.1:8000/v1"


def test_the_default_is_the_rules_model() -> None:
    settings = parse({})
    assert (settings.provider, settings.name) == ("rules", "rules")


def test_only_the_first_colon_splits_provider_from_name() -> None:
    settings = parse({"model": "openai:llama3.1:8b", "base_url": LOCAL + "/"})
    assert (settings.provider, settings.name, settings.endpoint) == ("openai", "llama3.1:8b", LOCAL)


def test_the_hosted_endpoint_is_the_default_one() -> None:
    settings = parse({"model": "openai:gpt-x", "api_key": " sk-1\n"})
    assert settings.is_hosted
    assert settings.endpoint == HOSTED_URL
    assert settings.api_key == SecretStr("sk-1")


def test_a_key_is_not_needed_elsewhere_and_never_shown() -> None:
    assert parse({"model": "openai:x", "base_url": LOCAL, "api_key": ""}).api_key is None
    assert "sk-1" not in repr(parse({"model": "openai:x", "api_key": "sk-1"}))


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        parse({}).model = "openai:x"


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"model": "claude:x"}, "'claude:x' has no provider"),
        ({"model": "gpt-x"}, "'gpt-x' has no provider"),
        ({"model": ""}, "has no provider"),
        ({"model": "rules:fast"}, "'rules:fast' has no provider"),
        ({"model": "openai: "}, "names no model"),
        ({"model": "openai:x"}, f"at {HOSTED_URL} needs an API key"),
        ({"model": "openai:x", "base_url": "https://api.openai.com/v1/", "api_key": "  "}, "needs an API key"),
        ({"model": "openai:x", "base_url": "localhost:8000"}, "'localhost:8000' is no http or https URL"),
        ({"model": "openai:x", "base_url": "http://"}, "is no http or https URL"),
        ({"model": "openai:x", "base_url": "http://h:port/v1"}, "is no http or https URL"),
        ({"model": "openai:x", "base_url": "http://h/v1?k=1"}, "a user, a query or a fragment"),
        ({"model": "rules", "base_url": LOCAL}, "calls no endpoint"),
        ({"model": "openai:x", "base_url": LOCAL, "timeout": 0}, "timeout: Input should be greater than 0"),
        ({"max_retries": -1, "temprature": 1}, "temprature: Extra inputs are not permitted"),
    ],
)
def test_a_bad_setting_is_one_clear_line(values: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(values)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "values",
    [
        {"model": "openai:x", "api_key": "hunter2 hunter2"},
        {"model": "openai:x", "api_key": "hunter2\nX-Header: 1"},
        {"model": "openai:x", "api_key": "hunter2é"},
        {"model": "openai:x", "api_key": ["hunter2"]},
        {"model": "openai:x", "base_url": "http://me:hunter2@host/v1"},
        {"model": "openai:x", "base_url": "ftp://me:hunter2@host/v1"},
    ],
)
def test_a_refusal_never_repeats_a_secret(values: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(values)
    assert "hunter2" not in str(caught.value)


@given(st.text(max_size=30), st.text(max_size=30) | st.none(), st.text(max_size=30) | st.none())
def test_any_text_is_either_usable_or_refused(model: str, url: str | None, key: str | None) -> None:
    try:
        settings = ModelSettings(model=model, base_url=url, api_key=None if key is None else SecretStr(key))
    except ConfigurationError:
        return
    assert settings.name
    assert settings.provider == "rules" or settings.endpoint.startswith(("http://", "https://"))
