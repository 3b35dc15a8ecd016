"""Users, as those see them who manage them."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from api.schemas.common import AccountIds, Answer, Body, Instant, Password
from trading_core.auth.roles import Role
from trading_core.persistence.identity_records import User

_USER_EXAMPLE: JsonDict = {
    "id": "h3Jd82kslq01",
    "username": "alice",
    "email": "alice@example.org",
    "role": "trader",
    "is_active": True,
    "accounts": ["practice"],
    "created_at": "2025-03-01T12:00:00Z",
    "last_login": None,
}


class UserIn(Body):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "username": "alice",
                    "email": "alice@example.org",
                    "password": "tulip ferry onyx lantern",
                    "role": "trader",
                    "accounts": ["practice"],
                }
            ]
        }
    )

    username: Annotated[str, Field(min_length=3, max_length=32)]
    email: Annotated[str, Field(min_length=3, max_length=254)]
    password: Password
    role: Role
    accounts: AccountIds = Field(default_factory=list)


class RoleIn(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [{"role": "viewer"}]})

    role: Role


class AccountsIn(Body):
    """All accounts the user may act on from now on."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"accounts": ["practice"]}]})

    accounts: AccountIds


class NewPassword(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [{"new": "granite willow comet 71"}]})

    new: Password


class UserOut(Answer):
    model_config = ConfigDict(json_schema_extra={"examples": [_USER_EXAMPLE]})

    id: str
    username: str
    email: str
    role: Role
    is_active: bool
    accounts: list[str]
    created_at: Instant
    last_login: Instant | None

    @classmethod
    def of(cls, user: User) -> UserOut:
        return cls(
            id=user.id,
            username=user.username,
            email=user.email,
            role=user.role,
            is_active=user.is_active,
            accounts=sorted(user.accounts),
            created_at=user.created_at,
            last_login=user.last_login,
        )
