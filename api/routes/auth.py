"""Logging in, staying in, getting out, and who one is.

Tokens travel in bodies and headers, never in cookies: no other site can make a browser send them, so there is nothing to forge.
"""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request

from api.http.context import context_of
from api.http.dependencies import Caller, State, ends_logins, holds_secret
from api.schemas.auth import LoginIn, MeOut, PasswordIn, RefreshIn, TokensOut
from api.schemas.common import Done

router = APIRouter(prefix="/auth", tags=["auth"])


@router.post("/login", summary="Log in", dependencies=[holds_secret])
async def log_in(state: State, request: Request, body: LoginIn) -> TokensOut:
    """Give a name or e-mail address and the password for an access token (minutes) and a refresh token (days).

    Every failure has the same answer. After several in a row a name is locked for a while, and so is whoever tries too often.
    """
    context = context_of(request.scope)
    await state.limits.login(context.address, body.name, context.headers)
    return TokensOut.of(await state.auth.logins.login(body.name, body.password))


@router.post("/refresh", summary="Get new tokens", dependencies=[holds_secret])
async def refresh_tokens(state: State, request: Request, body: RefreshIn) -> TokensOut:
    """Give a refresh token for new ones. It is used up: one that comes twice was stolen, and ends the login for both holders."""
    return TokensOut.of(await state.auth.logins.refresh(body.refresh_token))


@router.post("/logout", summary="Log out", status_code=204, dependencies=[ends_logins])
async def log_out(state: State, caller: Caller) -> None:
    """End this login at once. Others of the same user stay."""
    await state.auth.logins.logout(caller)


@router.post("/logout-all", summary="Log out everywhere", dependencies=[ends_logins])
async def log_out_everywhere(state: State, caller: Caller) -> Done:
    """End every login of the caller, this one too. API keys stay."""
    return Done(count=await state.auth.logins.logout_all(caller))


@router.get("/me", summary="Show who the caller is")
async def show_caller(caller: Caller) -> MeOut:
    """Name, role, actions and accounts, as they count for this request."""
    return MeOut.of(caller)


@router.post("/password", summary="Change one's own password", status_code=204, dependencies=[ends_logins])
async def change_own_password(state: State, request: Request, caller: Caller, body: PasswordIn) -> None:
    """Prove the current password and set a new one. Every login ends, this one too; API keys stay."""
    context = context_of(request.scope)
    await state.limits.login(context.address, caller.user.username, context.headers)
    await state.auth.users.change_password(caller, body.current, body.new)
