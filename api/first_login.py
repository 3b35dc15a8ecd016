"""The first user of a desk: made when there is none, so that whoever starts a desk can come in by its doors."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import dataclass

from pydantic import SecretStr

from trading_core.auth.opaque import TokenBytes, random_text
from trading_core.auth.permissions import Principal
from trading_core.auth.roles import Role
from trading_core.auth.users import Users
from trading_core.domain.errors import UserError

USERNAME = "operator"
EMAIL = "operator@first-login.invalid"  # RFC 6761: mail to it reaches nobody; it tells that nobody chose this user
_PASSWORD_BYTES = 18  # 24 characters


@dataclass(frozen=True, slots=True)
class FirstLogin:
    """What came of looking who may come in.

    Attributes:
        password: of the user that was made just now; None when there were users.
        without: accounts that no active user may act on.
    """

    password: SecretStr | None
    without: tuple[str, ...]


async def first_login(
    users: Users, actor: Principal, accounts: Collection[str], token_bytes: TokenBytes = secrets.token_bytes
) -> FirstLogin:
    """Make the first user when there is none; else give that user, if there still is one, the accounts served from now on.

    Nobody whom a person created is given anything.

    Raises:
        NotPermitted: the actor does not manage users, or has not the accounts.
    """
    known = await users.all(actor)
    if not known:
        password = SecretStr(random_text(token_bytes, _PASSWORD_BYTES))
        try:
            await users.create(actor, USERNAME, EMAIL, password, Role.ADMIN, accounts)
            return FirstLogin(password, ())
        except UserError:  # another process of the desk was first
            known = await users.all(actor)
    active = [user for user in known if user.is_active]
    for user in active:
        if user.email == EMAIL and user.role is Role.ADMIN and not set(accounts) <= user.accounts:
            await users.set_accounts(actor, user.id, user.accounts | set(accounts))
            return FirstLogin(None, ())
    seen = {account for user in active for account in user.accounts}
    return FirstLogin(None, tuple(account for account in accounts if account not in seen))
