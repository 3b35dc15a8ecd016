"""Which model an agent speaks through, checked before anything is built from it.

Nothing here reads the environment or a file: whoever calls says where the key comes from.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

from trading_core.domain.errors import ConfigurationError

HOSTED_URL = "https://api.openai.com/v1"
"""Where `openai:` models live when no `base_url` is given."""

NO_KEY = SecretStr("no-key")
"""Sent to an endpoint that asks for no key: the client library insists on one."""

Provider = Literal["rules", "openai"]

_NOTHING_STARTED = "No model was built"


class ModelSettings(BaseModel):
    """One model and how to call it. Use `parse` to get one from settings a person wrote.

    Raises:
        ConfigurationError: for an unknown provider, an empty name, a bad URL, or a missing or unusable key.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    model: str = "rules"
    """`rules` (embedded, no LLM) or `openai:NAME` (any endpoint that speaks OpenAI chat completions)."""
    base_url: str | None = None
    """Root of the endpoint up to and including `/v1`; OpenAI's own when absent."""
    api_key: SecretStr | None = None
    """Needed for OpenAI's own endpoint only."""
    temperature: float | None = Field(default=None, ge=0, le=2)
    """Absent leaves it to the endpoint: several hosted models accept no other."""
    timeout: float = Field(default=30.0, gt=0, le=600, allow_inf_nan=False)
    """Seconds without a byte from the endpoint before one attempt is given up; every retry has as long again."""
    max_retries: int = Field(default=2, ge=0, le=10)
    """Further attempts after a refused connection, a timeout, 408, 409, 429 or 5xx."""
    max_tokens: int | None = Field(default=None, gt=0)
    """Most tokens one answer may have."""

    @property
    def provider(self) -> Provider:
        """The part before the colon."""
        return "rules" if self.model == "rules" else "openai"

    @property
    def name(self) -> str:
        """The model's name at its endpoint; `rules` for the rules model."""
        return self.model.removeprefix("openai:")

    @property
    def endpoint(self) -> str:
        """The URL the model is called at."""
        return self.base_url or HOSTED_URL

    @property
    def is_hosted(self) -> bool:
        """Whether the endpoint is OpenAI's own."""
        return urlsplit(self.endpoint).hostname == urlsplit(HOSTED_URL).hostname

    @field_validator("model")
    @classmethod
    def _known_model(cls, model: str) -> str:
        provider, _, name = model.strip().partition(":")
        if provider == "rules" and not name:
            return "rules"
        if provider != "openai":
            raise _refusal(f"model {model!r} has no provider this desk knows", "Write `rules` or `openai:NAME`")
        if not name.strip():
            raise _refusal(f"model {model!r} names no model", "Write the endpoint's name for it after `openai:`")
        return f"openai:{name.strip()}"

    @field_validator("base_url")
    @classmethod
    def _usable_url(cls, url: str | None) -> str | None:
        if url is None or not url.strip():
            return None
        url = url.strip().rstrip("/")
        try:
            parts = urlsplit(url)
            good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            good = False
        if not good:
            raise _refusal(f"base_url {_masked(url)!r} is no http or https URL", "Write it like http://127.0.0.1:8000/v1")
        if parts.username is not None or parts.query or parts.fragment:
            raise _refusal("base_url carries a user, a query or a fragment", "Give the bare URL, and the secret as api_key")
        return url

    @field_validator("api_key")
    @classmethod
    def _usable_key(cls, key: SecretStr | None) -> SecretStr | None:
        text = "" if key is None else key.get_secret_value().strip()
        if not text:
            return None
        # An HTTP library would refuse such a header later, quoting it.
        if not (text.isascii() and text.isprintable()) or " " in text:
            raise _refusal("api_key holds spaces or characters that no HTTP header can carry", "Copy the key again")
        return SecretStr(text)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.provider == "rules":
            if self.base_url is not None:
                raise _refusal("base_url is given, but the model is `rules`, which calls no endpoint", "Set model to openai:NAME")
        elif self.is_hosted and self.api_key is None:
            raise _refusal(
                f"model {self.model!r} at {self.endpoint} needs an API key",
                "Set OPENAI_API_KEY, or give --base-url of a local endpoint",
            )
        return self


def parse(values: Mapping[str, object]) -> ModelSettings:
    """Settings from what a person wrote.

    Raises:
        ConfigurationError: one line that names the setting and what is wrong with it, never a key.
    """
    try:
        return ModelSettings.model_validate(dict(values))
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors(include_input=False))
        raise _refusal(f"model settings are wrong: {wrong}", "Correct them and start again") from None


def _refusal(what: str, next_step: str) -> ConfigurationError:
    return ConfigurationError(what, not_done=_NOTHING_STARTED, next_step=next_step)


def _masked(url: str) -> str:
    """The URL without what stands before an `@`: that may be a password."""
    _, separator, rest = url.rpartition("@")
    return f"…@{rest}" if separator else rest
