"""What one tool is to an MCP client: a schema, the rights it needs, and a function."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

from pydantic import BaseModel, SecretStr

from api.http.dependencies import OnAccount
from api.live.hub import Hub
from api.services.turns import account_for
from api.state import ApiState
from trading_core.auth.identity import Identity
from trading_core.auth.permissions import Action, Principal
from trading_core.domain.errors import InvalidInput

Json = dict[str, object]
Tell = Callable[[str], Awaitable[None]]
A = TypeVar("A", bound=BaseModel)

_ACCOUNT = "account"
_LONGEST_NAME = 100


@dataclass(frozen=True, slots=True)
class Result:
    """What a call came to.

    Attributes:
        data: for programs.
        text: for models and people; `data` as JSON when empty.
        failed: whether it did not do what it was called for.
    """

    data: Mapping[str, object]
    text: str = ""
    failed: bool = False

    @property
    def shown(self) -> str:
        return self.text or json.dumps(self.data, separators=(",", ":"), ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Call:
    """One call: who makes it, on what, and how to tell of progress.

    Attributes:
        token: or key that the caller came with.
        account: as the caller named it; empty when not.
    """

    hub: Hub
    caller: Identity
    token: SecretStr
    tell: Tell
    account: str = ""

    @property
    def state(self) -> ApiState:
        return self.hub.state

    @property
    def who(self) -> Principal:
        return self.caller.principal

    async def on(self, action: Action) -> OnAccount:
        """The account that the call is about.

        Raises:
            InvalidInput: the caller has several and names none.
            NotFound, NotPermitted: it is none of the caller's, or not for this.
        """
        return await account_for(self.state, self.caller, action, self.account, how="as `account`")


Run = Callable[[Call, Mapping[str, object]], Awaitable[Result]]


@dataclass(frozen=True)
class Offer:
    """A tool of this door.

    Attributes:
        needs: what the caller must be allowed, all of it: whoever is not neither sees the tool nor can call it.
        on_account: whether it is about an account, which callers with several can name.
        read_only, destructive, idempotent: hints for clients, as the protocol defines them.
    """

    name: str
    title: str
    description: str
    schema: Mapping[str, object]
    needs: frozenset[Action]
    run: Run
    on_account: bool = True
    read_only: bool = False
    destructive: bool = False
    idempotent: bool = False

    def is_for(self, who: Principal) -> bool:
        return self.needs <= who.actions

    def schema_for(self, who: Principal) -> Json:
        """The arguments; callers with several accounts have one more."""
        if not self.on_account or len(who.accounts) < 2:
            return dict(self.schema)
        return {**self.schema, "properties": {**self._properties, _ACCOUNT: _account_schema(who)}}

    async def call(self, call: Call, arguments: Mapping[str, object]) -> Result:
        """Check the permission, and run.

        Raises:
            NotPermitted: the caller may not.
            AlgoTrendyError, pydantic.ValidationError: it could not be done.
        """
        for action in sorted(self.needs):
            call.who.require(action)
        if not self.on_account:
            return await self.run(call, arguments)
        named = arguments.get(_ACCOUNT, "")
        if not isinstance(named, str) or len(named) > _LONGEST_NAME:
            raise InvalidInput("account is the id of an account", not_done="Nothing was done")
        rest = {name: value for name, value in arguments.items() if name != _ACCOUNT}
        return await self.run(replace(call, account=named), rest)

    @cached_property
    def _properties(self) -> Mapping[str, object]:
        found = self.schema.get("properties", {})
        return found if isinstance(found, Mapping) else {}


def typed(model: type[A], work: Callable[[Call, A], Awaitable[Result]]) -> Run:
    """A function of typed arguments as one that takes what a client sent."""

    async def run(call: Call, arguments: Mapping[str, object]) -> Result:
        return await work(call, model.model_validate(dict(arguments)))

    return run


def _account_schema(who: Principal) -> Json:
    return {
        "type": "string",
        "enum": sorted(who.accounts),
        "description": "which account; may be left out when the desk runs only one of them",
    }
