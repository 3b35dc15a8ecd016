"""Logging in and out, and API keys."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field, SecretStr
from pydantic.config import JsonDict

from api.schemas.common import AccountIds, Answer, Body, Instant, Password
from trading_core.auth.identity import Identity
from trading_core.auth.logins import Tokens
from trading_core.auth.permissions import Action
from trading_core.auth.roles import Role
from trading_core.persistence.identity_records import ApiKey

_TOKEN = Annotated[SecretStr, Field(max_length=4_096)]


class LoginIn(Body):
    """A name or an e-mail address, and the password."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "operator", "password": "tulip ferry onyx lantern"}]})

    name: Annotated[str, Field(min_length=1, max_length=254)]
    password: Password


class RefreshIn(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [{"refresh_token": "atr_5s1N0yL3…"}]})

    refresh_token: _TOKEN


class PasswordIn(Body):
    """One's own password, old and new. Every login ends."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"current": "tulip ferry onyx lantern", "new": "granite willow comet 71"}]}
    )

    current: Password
    new: Password


class TokensOut(Answer):
    """What to keep of a login. The desk keeps neither token, and no cookie is set."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "access_token": "eyJhbGciOiJFZERTQSIs…",
                    "token_type": "Bearer",
                    "expires_at": "2025-03-01T12:10:00Z",
                    "refresh_token": "atr_5s1N0yL3…",
                    "refresh_expires_at": "2025-03-08T12:00:00Z",
                }
            ]
        }
    )

    access_token: str = Field(description="For the header `Authorization: Bearer …`.")
    token_type: str = "Bearer"  # noqa: S105  # the name of a scheme
    expires_at: Instant = Field(description="Of the access token.")
    refresh_token: str = Field(description="Good for one use at /auth/refresh, which brings the next.")
    refresh_expires_at: Instant

    @classmethod
    def of(cls, tokens: Tokens) -> TokensOut:
        return cls(
            access_token=tokens.access.get_secret_value(),
            expires_at=tokens.access_expires_at,
            refresh_token=tokens.refresh.get_secret_value(),
            refresh_expires_at=tokens.refresh_expires_at,
        )


class MeOut(Answer):
    """Who the caller is, and what the caller may do here and now: with an API key that is less than the user may."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "h3Jd82kslq01",
                    "username": "alice",
                    "role": "viewer",
                    "principal": "user:alice",
                    "actions": ["market:read", "portfolio:read"],
                    "accounts": ["practice"],
                    "by": "login",
                }
            ]
        }
    )

    id: str
    username: str
    role: Role
    principal: str
    actions: list[Action]
    accounts: list[str]
    by: str = Field(description="`login` or `api_key`.")

    @classmethod
    def of(cls, identity: Identity) -> MeOut:
        principal = identity.principal
        return cls(
            id=identity.user.id,
            username=identity.user.username,
            role=identity.user.role,
            principal=principal.name,
            actions=sorted(principal.actions),
            accounts=sorted(principal.accounts),
            by="login" if identity.login_id else "api_key",
        )


class ApiKeyIn(Body):
    """A new key: never more than its user may do."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"name": "dashboard", "scopes": ["portfolio:read"], "accounts": ["practice"], "days": 90}]
        }
    )

    name: Annotated[str, Field(min_length=1, max_length=100)]
    scopes: Annotated[list[Action], Field(min_length=1, max_length=len(Action))]
    accounts: AccountIds = Field(default_factory=list)
    days: Annotated[int, Field(ge=1, le=366, description="How long it lives.")] = 90


_KEY_EXAMPLE: JsonDict = {
    "id": "k2Vd8s0qLm4x",
    "user_id": "h3Jd82kslq01",
    "name": "dashboard",
    "scopes": ["portfolio:read"],
    "accounts": ["practice"],
    "created_at": "2025-03-01T12:00:00Z",
    "expires_at": "2025-05-30T12:00:00Z",
    "last_used_at": None,
    "revoked_at": None,
}


class ApiKeyOut(Answer):
    model_config = ConfigDict(json_schema_extra={"examples": [_KEY_EXAMPLE]})

    id: str
    user_id: str
    name: str
    scopes: list[Action]
    accounts: list[str]
    created_at: Instant
    expires_at: Instant
    last_used_at: Instant | None
    revoked_at: Instant | None

    @classmethod
    def of(cls, key: ApiKey) -> ApiKeyOut:
        return cls(**_fields(key))


class NewApiKeyOut(ApiKeyOut):
    """A key with its text, which is shown this once."""

    model_config = ConfigDict(json_schema_extra={"examples": [_KEY_EXAMPLE | {"key": "at_k2Vd8s0qLm4x_9f…"}]})

    key: str = Field(description="For `Authorization: Bearer …` or `X-API-Key`. Shown this once.")

    @classmethod
    def with_text(cls, key: ApiKey, text: SecretStr) -> NewApiKeyOut:
        return cls(**_fields(key), key=text.get_secret_value())


def _fields(key: ApiKey) -> dict[str, object]:
    return {
        "id": key.id,
        "user_id": key.user_id,
        "name": key.name,
        "scopes": sorted(key.scopes),
        "accounts": sorted(key.accounts),
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "last_used_at": key.last_used_at,
        "revoked_at": key.revoked_at,
    }
