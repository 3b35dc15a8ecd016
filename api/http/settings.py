"""Settings of the HTTP door, from environment variables `ALGOTRENDY_API_…`."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from trading_core.domain.errors import ConfigurationError

PREFIX = "ALGOTRENDY_API_"

# The key of the model's endpoint was named before this door was built, and is read elsewhere.
_NOT_OURS = frozenset({"ALGOTRENDY_API_KEY"})

Network = IPv4Network | IPv6Network


class Environment(StrEnum):
    DEVELOPMENT = "development"
    PRODUCTION = "production"


class ApiSettings(BaseSettings):
    """How the door behaves. Rates are requests a minute.

    Attributes:
        allowed_origins: pages of which origins a browser lets read answers; none by default.
        trusted_proxies: networks whose `X-Forwarded-For` is believed; none by default.
        body_limit: largest body, bytes.
        request_timeout: seconds until a request is given up; streams are exempt.
        redis_url: where processes share their rate limits; in the process's memory when None.
        followers, followers_per_user: streams and sockets that may be open at once in this process.
        docs: whether `/docs` and `/openapi.json` are there; when None, in development only.
        hsts: whether browsers are told to come by HTTPS only. For a door behind TLS.
        metrics_token: lets a collector read `/metrics` without a user; None for none.
        metrics_on_loopback: whether the machine itself may read `/metrics` without saying who it is.
        tracing: whether traces are sent out, to where the standard OTEL_ variables say.
        prompts_in_traces: whether traces hold what was asked and answered.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    environment: Environment = Environment.DEVELOPMENT
    allowed_origins: Annotated[tuple[str, ...], NoDecode] = ()
    trusted_proxies: Annotated[tuple[Network, ...], NoDecode] = ()
    body_limit: int = Field(default=1_000_000, ge=1_000)
    request_timeout: float = Field(default=30.0, gt=0)
    redis_url: SecretStr | None = None
    per_ip: int = Field(default=600, ge=1)
    logins_per_ip: int = Field(default=10, ge=1)
    logins_per_name: int = Field(default=10, ge=1)
    reads_per_user: int = Field(default=1_200, ge=1)
    writes_per_user: int = Field(default=120, ge=1)
    followers: int = Field(default=5_000, ge=1)
    followers_per_user: int = Field(default=200, ge=1)
    docs: bool | None = None
    hsts: bool = False
    metrics_token: SecretStr | None = None
    metrics_on_loopback: bool = False
    tracing: bool = False
    prompts_in_traces: bool = False

    @field_validator("allowed_origins", "trusted_proxies", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        """A list in a variable is written with commas."""
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _strict_in_production(self) -> Self:
        if self.environment is Environment.PRODUCTION and "*" in self.allowed_origins:
            raise ValueError("any origin (*) is refused in production; name the origins")
        if bad := [name for name in self.allowed_origins if name != "*" and not _is_origin(name)]:
            raise ValueError(f"{bad[0]!r} is no origin; write it like https://desk.example.org")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Nothing but what is given: whoever starts the process reads its environment, and hands it to `read`."""
        return (init_settings,)

    @property
    def shows_docs(self) -> bool:
        return self.environment is Environment.DEVELOPMENT if self.docs is None else self.docs

    @classmethod
    def read(cls, variables: Mapping[str, str]) -> ApiSettings:
        """The settings that environment variables make.

        Raises:
            ConfigurationError: a variable with our prefix that is not known, or a value that cannot be used.
        """
        given = {
            name.removeprefix(PREFIX).lower(): value
            for name, value in variables.items()
            if name.startswith(PREFIX) and name not in _NOT_OURS
        }
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            name = PREFIX + str(first["loc"][0]).upper() if first["loc"] else "the settings of the API"
            raise ConfigurationError(
                f"{name} cannot be used: {first['msg']}",
                not_done="The API was not started",
                next_step="docs/api.md lists the settings",
            ) from None


def _is_origin(text: str) -> bool:
    scheme, separator, host = text.partition("://")
    return scheme in {"http", "https"} and bool(separator) and bool(host) and not set(host) & set("/?#@* ")
