"""Who asks, and may they: what routes take as parameters.

    @router.get("/accounts/{account}/orders")
    async def list_orders(state: State, on: Annotated[OnAccount, on_account(Action.READ_ORDERS)]) -> …

`allowed` and `on_account` are read by `openapi.py` too: the description of each operation says what it needs.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Path
from fastapi.params import Depends as DependsOn
from fastapi.security import APIKeyHeader, HTTPBearer
from pydantic import SecretStr
from starlette.requests import HTTPConnection, Request

from api.http.context import context_of
from api.http.problems import NotFound
from api.state import ApiState
from trading_core.auth import api_keys
from trading_core.auth.identity import Identity, bad_token
from trading_core.auth.permissions import Action, Principal

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
SAYS_WHO = frozenset({"authorization", "x-api-key"})  # headers
_KEY_BEGINS = f"{api_keys.PREFIX}_"

_bearer = HTTPBearer(
    auto_error=False, scheme_name="bearer", description="An access token from `POST /api/v1/auth/login`, or an API key."
)
_key_header = APIKeyHeader(name="X-API-Key", auto_error=False, scheme_name="api_key", description="An API key.")


async def state_of(connection: HTTPConnection) -> ApiState:
    """The state that the app was made with."""
    found = connection.app.state.desk
    assert isinstance(found, ApiState)  # noqa: S101  # `create_app` put it there
    return found


State = Annotated[ApiState, Depends(state_of)]


async def identify(state: ApiState, connection: HTTPConnection) -> Identity:
    """Who asks, by an access token or an API key, established once for each request. For WebSockets too.

    Raises:
        NotAuthenticated: there is no token or key, or it is not accepted.
        TooManyRequests: this user asks too often.
    """
    context = context_of(connection.scope)
    if context.identity is None:
        is_read = connection.scope.get("method", "GET") in SAFE
        token, authenticate = _credential(state, connection)
        identity = state.recent_logins.get(token) if is_read else None
        if identity is None:
            era = state.recent_logins.era
            identity = await authenticate(SecretStr(token))
            state.recent_logins.put(token, identity, era)
        context.identity = identity
        count = state.limits.reads if is_read else state.limits.writes
        await count(identity.principal.name, context.headers)
    return context.identity


def _credential(state: ApiState, connection: HTTPConnection) -> tuple[str, Callable[[SecretStr], Awaitable[Identity]]]:
    """The token or key that came along, and what checks it."""
    header, key = connection.headers.get("authorization"), connection.headers.get("x-api-key")
    if sum(len(connection.headers.getlist(name)) for name in SAYS_WHO) > 1:
        raise bad_token()  # several answers to one question
    if key is not None:
        return key, state.auth.api_keys.authenticate
    scheme, _, text = (header or "").partition(" ")
    text = text.strip()
    if scheme.lower() != "bearer" or not text:
        raise bad_token()
    is_key = text.startswith(_KEY_BEGINS)
    return text, state.auth.api_keys.authenticate if is_key else state.auth.logins.authenticate


async def _caller(
    request: Request,
    state: State,
    _bearer_token: Annotated[object, Depends(_bearer)],  # for the description only: `identify` reads the headers itself
    _api_key: Annotated[object, Depends(_key_header)],
) -> Identity:
    return await identify(state, request)


Caller = Annotated[Identity, Depends(_caller)]


def is_caller(dependency: object) -> bool:
    """Whether this is the dependency behind `Caller`."""
    return dependency is _caller


class Needs:
    """A dependency that lets through whoever may do `action`."""

    def __init__(self, action: Action) -> None:
        self.action = action


class _Allowed(Needs):
    async def __call__(self, caller: Caller) -> Principal:
        caller.principal.require(self.action)
        return caller.principal


def allowed(action: Action) -> DependsOn:
    """`Annotated[Principal, allowed(Action.X)]`: the caller, who may do this on some account or on none."""
    return DependsOn(_Allowed(action))


@dataclass(frozen=True, slots=True)
class OnAccount:
    """A caller at work on one account: it is on record, and the caller may do on it what the route needs."""

    account_id: str
    who: Principal
    identity: Identity


AccountId = Annotated[str, Path(min_length=1, max_length=100, description="The account's id.", examples=["practice"])]


class _OnAccount(Needs):
    async def __call__(self, state: State, caller: Caller, account: AccountId) -> OnAccount:
        return await acting_on(state, caller, self.action, account)


def on_account(action: Action) -> DependsOn:
    """`Annotated[OnAccount, on_account(Action.X)]`, for paths with `{account}`."""
    return DependsOn(_OnAccount(action))


async def acting_on(state: ApiState, caller: Identity, action: Action, account_id: str) -> OnAccount:
    """A caller at work on an account that is named elsewhere than in the path.

    Raises:
        NotFound: it is not on record, or the caller has nothing to do with it: which one is not told apart.
        NotPermitted: the caller may see it, and not do this.
    """
    principal = caller.principal
    if account_id not in principal.accounts or not await _on_record(state, account_id):
        raise no_such_account(account_id)
    principal.require(action, account_id)
    return OnAccount(account_id, principal, caller)


async def _on_record(state: ApiState, account_id: str) -> bool:
    if account_id in state.known_accounts:
        return True
    async with state.database.reading() as uow:
        known = await uow.portfolios.opened_at(account_id) is not None
    if known:
        state.known_accounts.add(account_id)
    return known


def no_such_account(account_id: str) -> NotFound:
    """The one answer for accounts that are not there and those that are none of the caller's."""
    return NotFound(
        f"no account is called {account_id!r}", not_done="Nothing was done", next_step="GET /api/v1/accounts lists yours"
    )


async def _holds_secret(request: Request) -> None:
    context_of(request.scope).holds_secret = True


# For routes whose answer holds a secret: it is kept nowhere, not even under an idempotency key.
holds_secret = DependsOn(_holds_secret)


async def _ends_logins(state: State) -> AsyncIterator[None]:
    try:
        yield
    finally:
        state.recent_logins.clear()


# For routes that end logins or keys: in this process that counts before they answer.
ends_logins = DependsOn(_ends_logins, scope="function")

KEY_DESCRIPTION = "A word of your own for this write: the same request under it again gives the same answer, and is done once."

# The key that a caller chose for a write, for routes that make an id from it. Every write takes the header in any case.
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=8,
        max_length=200,
        pattern=r"^[!-~]+$",
        description=KEY_DESCRIPTION,
    ),
]
