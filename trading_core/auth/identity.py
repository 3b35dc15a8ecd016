"""Who is asking, once established."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trading_core.auth.permissions import Principal
from trading_core.auth.roles import ROLE_ACTIONS
from trading_core.domain.errors import NotAuthenticated, NotPermitted, UnknownUser
from trading_core.persistence.identity_records import ApiKey, Login, User

if TYPE_CHECKING:
    from trading_core.persistence.unit_of_work import UnitOfWork

_USER = "user:"


@dataclass(frozen=True, slots=True)
class Identity:
    """A user who is let in, by a login or by an API key, and what may be done that way."""

    user: User
    principal: Principal
    login_id: str | None = None
    api_key_id: str | None = None

    def own_login(self) -> str:
        """The login's id, for what a person does and a key must not: a stolen key may not change what outlives it.

        Raises:
            NotPermitted: this identity came by an API key.
        """
        if self.login_id is None:
            raise NotPermitted(
                f"{self.principal.name!r} came by an API key, which may not do this",
                not_done="Nothing was changed",
                next_step="Log in with a password",
            )
        return self.login_id


def by_login(user: User, login: Login) -> Identity:
    """All that the user may do."""
    return Identity(user, principal_of(user), login_id=login.id)


def by_api_key(user: User, key: ApiKey) -> Identity:
    """What both the key and, today, its user may do."""
    scopes, accounts = key.scopes & ROLE_ACTIONS[user.role], key.accounts & user.accounts
    principal = Principal(user_name(user), scopes, accounts, role=user.role.value)
    return Identity(user, principal, api_key_id=key.id)


async def user_principal(uow: UnitOfWork, name: str) -> Principal | None:
    """What the user behind a principal's name may do today; None when it is nobody's name, or the user is deactivated.

    The gate judges an intent again when it is submitted: what was proposed with a right that was taken away since is not sent.
    """
    username = name.removeprefix(_USER)
    known = await uow.users.named(username) if username != name else None
    # A user is also found by e-mail address and in other spellings; a principal is named in one way only.
    if known is None or not known.user.is_active or user_name(known.user) != name:
        return None
    return principal_of(known.user)


def principal_of(user: User) -> Principal:
    """Everything the user's role allows, on the user's accounts."""
    return Principal(user_name(user), ROLE_ACTIONS[user.role], user.accounts, role=user.role.value)


def user_name(user: User) -> str:
    """The principal's name: no agent, schedule or operator of the machine can have it, whatever users are called.

    It is the same for all of a user's keys, so that limits on one actor cannot be passed with two keys.
    """
    return _USER + user.username


def bad_password() -> NotAuthenticated:
    """The one answer to a login that failed: wrong name, wrong password, locked or deactivated."""
    return NotAuthenticated(
        "the login was not accepted",
        not_done="Nobody was logged in",
        next_step="Check the name and the password; after several attempts wait a while before the next",
    )


def bad_token() -> NotAuthenticated:
    """The one answer to an access token, a refresh token or an API key that was not accepted."""
    return NotAuthenticated("the token was not accepted", not_done="Nothing was done", next_step="Log in again, or use a new key")


def no_such_user(name: str, not_done: str) -> UnknownUser:
    """The answer to whoever manages users, and to nobody else."""
    return UnknownUser(f"no user is called {name!r}", not_done=not_done, next_step="List the users")
