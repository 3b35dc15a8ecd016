"""API keys: one's own, and those of others for whoever manages users. A key cannot make keys, nor list or revoke its user's."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Path

from api.http.dependencies import Caller, State, ends_logins, holds_secret
from api.http.pages import Page, PageQuery, PageRequest
from api.routes.users import Giver, Manager, UserId
from api.schemas.auth import ApiKeyIn, ApiKeyOut, NewApiKeyOut
from trading_core.persistence.identity_records import ApiKey

router = APIRouter(tags=["api keys"])

KeyId = Annotated[str, Path(max_length=100, description="The key's id, the part between the underscores.")]


@router.get("/auth/api-keys", summary="List one's own API keys")
async def list_own_keys(state: State, caller: Caller, page: PageQuery) -> Page[ApiKeyOut]:
    """Oldest first, those that are no longer good too."""
    return _page(page, await state.auth.api_keys.mine(caller))


@router.post("/auth/api-keys", summary="Make an API key of one's own", status_code=201, dependencies=[holds_secret])
async def make_own_key(state: State, caller: Caller, body: ApiKeyIn) -> NewApiKeyOut:
    """Its text is shown this once, and kept nowhere."""
    life = timedelta(days=body.days)
    return NewApiKeyOut.with_text(*await state.auth.api_keys.issue(caller, body.name, body.scopes, body.accounts, life))


@router.delete("/auth/api-keys/{key_id}", summary="Revoke one's own API key", status_code=204, dependencies=[ends_logins])
async def revoke_own_key(state: State, caller: Caller, key_id: KeyId) -> None:
    """At once. A second time changes nothing."""
    await state.auth.api_keys.revoke(caller, key_id)


@router.get("/users/{user_id}/api-keys", summary="List a user's API keys")
async def list_keys(state: State, who: Manager, user_id: UserId, page: PageQuery) -> Page[ApiKeyOut]:
    """Oldest first, those that are no longer good too."""
    user = await state.auth.users.get(who, user_id)
    return _page(page, await state.auth.api_keys.of_user(who, user.id))


@router.post("/users/{user_id}/api-keys", summary="Make an API key for a user", status_code=201, dependencies=[holds_secret])
async def make_key(state: State, who: Giver, user_id: UserId, body: ApiKeyIn) -> NewApiKeyOut:
    """For machines that never log in. Its text is shown this once, and kept nowhere."""
    life = timedelta(days=body.days)
    made = await state.auth.api_keys.issue_for(who, user_id, body.name, body.scopes, body.accounts, life)
    return NewApiKeyOut.with_text(*made)


@router.delete(
    "/users/{user_id}/api-keys/{key_id}", summary="Revoke a user's API key", status_code=204, dependencies=[ends_logins]
)
async def revoke_key(state: State, who: Manager, user_id: UserId, key_id: KeyId) -> None:
    """At once. A second time changes nothing."""
    await state.auth.api_keys.revoke(who, key_id, user_id=user_id)


def _page(page: PageRequest, keys: tuple[ApiKey, ...]) -> Page[ApiKeyOut]:
    """A user has few keys: all are read, and some shown."""
    after = page.after(str, str)
    found = [key for key in keys if after is None or _place(key) > after]
    return page.page(found[: page.wanted], _place, ApiKeyOut.of)


def _place(key: ApiKey) -> tuple[str, str]:
    return key.created_at.isoformat(timespec="microseconds"), key.id
