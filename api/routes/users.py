"""Users, for those who manage them. Nobody can give what is not his own, and an API key only takes away: what it gave would
outlive it, and a stolen one would have given its thief a login."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response
from pydantic import Field

from api.http.dependencies import Caller, State, allowed, ends_logins
from api.http.pages import Page, PageQuery
from api.schemas.common import Done
from api.schemas.users import AccountsIn, NewPassword, RoleIn, UserIn, UserOut
from trading_core.auth.permissions import Action, Principal
from trading_core.persistence.repositories.users import folded

router = APIRouter(prefix="/users", tags=["users"])

Manager = Annotated[Principal, allowed(Action.MANAGE_USERS)]


async def _giver(caller: Caller, who: Manager) -> Principal:
    caller.own_login()
    return who


# A person who manages users.
Giver = Annotated[Principal, Depends(_giver)]
UserId = Annotated[str, Path(max_length=100, description="The user's id, not the name."), Field(examples=["h3Jd82kslq01"])]


@router.get("", summary="List users")
async def list_users(state: State, who: Manager, page: PageQuery) -> Page[UserOut]:
    """Everybody, by name."""
    after = page.after_text()
    found = [user for user in await state.auth.users.all(who) if after is None or folded(user.username) > after]
    return page.page(found[: page.wanted], lambda user: (folded(user.username),), UserOut.of)


@router.post("", summary="Create a user", status_code=201)
async def create_user(state: State, who: Giver, body: UserIn, response: Response) -> UserOut:
    """The user can log in at once."""
    user = await state.auth.users.create(who, body.username, body.email, body.password, body.role, body.accounts)
    response.headers["Location"] = f"/api/v1/users/{user.id}"
    return UserOut.of(user)


@router.get("/{user_id}", summary="Show a user")
async def show_user(state: State, who: Manager, user_id: UserId) -> UserOut:
    """One user."""
    return UserOut.of(await state.auth.users.get(who, user_id))


@router.put("/{user_id}/role", summary="Change a user's role", dependencies=[ends_logins])
async def change_role(state: State, who: Giver, user_id: UserId, body: RoleIn) -> UserOut:
    """Access tokens of the old role are refused from now on; a refresh brings one of the new."""
    return UserOut.of(await state.auth.users.change_role(who, user_id, body.role))


@router.put("/{user_id}/accounts", summary="Change a user's accounts", dependencies=[ends_logins])
async def change_accounts(state: State, who: Giver, user_id: UserId, body: AccountsIn) -> UserOut:
    """Replace the accounts the user may act on."""
    return UserOut.of(await state.auth.users.set_accounts(who, user_id, body.accounts))


@router.post("/{user_id}/deactivate", summary="Shut a user out", dependencies=[ends_logins])
async def deactivate_user(state: State, who: Manager, user_id: UserId) -> UserOut:
    """At once and everywhere: every login ends and every API key is revoked."""
    return UserOut.of(await state.auth.users.deactivate(who, user_id))


@router.post("/{user_id}/activate", summary="Let a user in again")
async def activate_user(state: State, who: Giver, user_id: UserId) -> UserOut:
    """Logins and keys from before stay ended."""
    return UserOut.of(await state.auth.users.activate(who, user_id))


@router.put("/{user_id}/password", summary="Set a user's password", status_code=204, dependencies=[ends_logins])
async def reset_password(state: State, who: Giver, user_id: UserId, body: NewPassword) -> None:
    """After a loss or a theft: logins end, API keys are revoked, and a lock is lifted."""
    await state.auth.users.reset_password(who, user_id, body.new)


@router.delete("/{user_id}/logins", summary="End a user's logins", dependencies=[ends_logins])
async def end_logins(state: State, who: Manager, user_id: UserId) -> Done:
    """All of them, at once. API keys stay."""
    return Done(count=await state.auth.users.end_logins(who, user_id))
