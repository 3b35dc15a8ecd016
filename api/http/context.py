"""What is known of one request while it is served. It travels in the ASGI scope."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from starlette.types import Scope

if TYPE_CHECKING:
    from trading_core.auth.identity import Identity

_KEY = "algotrendy"


@dataclass(slots=True)
class RequestContext:
    """Filled in by one layer and read by another.

    Attributes:
        request_id: in every answer, every line of the log and every audit entry that the request leads to.
        address: of the client, behind the proxies that are trusted.
        identity: who asks, once established.
        holds_secret: whether the answer holds a secret, and must not be kept by anybody.
        headers: that the answer gets, such as what is left of a rate limit.
    """

    request_id: str
    address: str
    identity: Identity | None = None
    holds_secret: bool = False
    headers: dict[str, str] = field(default_factory=dict)


def put_context(scope: Scope, context: RequestContext) -> None:
    scope[_KEY] = context


def context_of(scope: Scope) -> RequestContext:
    """The context of a request. A route that is served without our layers gets one of its own."""
    found = scope.get(_KEY)
    if not isinstance(found, RequestContext):
        found = scope[_KEY] = RequestContext("", "")
    return found
