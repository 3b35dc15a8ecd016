"""Routes whose reads are shared: `APIRouter(…, route_class=SharedRoute)`."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from api.http.dependencies import Needs, acting_on, identify, state_of
from api.http.routes_table import dependants


class SharedRoute(APIRoute):
    """On a GET with `on_account`, everybody who asks for the same path and query at the same time gets one reading.

    Who asks, and whether they may, is looked at for each. What the endpoint answers must depend on nothing but the account, the
    path and the query: not on `on.who`, nor on other headers. Other methods are as usual.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle, needs = super().get_route_handler(), self.needs
        if needs is None:
            return handle

        async def shared(request: Request) -> Response:
            state, scope = await state_of(request), request.scope
            await acting_on(state, await identify(state, request), needs.action, request.path_params["account"])
            answer = await state.shared.once((scope["path"], scope["query_string"]), lambda: handle(request))
            return _copy(answer)

        return shared

    @property
    def needs(self) -> Needs | None:
        """What a caller needs for a shared read; None where nothing is shared."""
        if self.methods != {"GET"} or "{account}" not in self.path:
            return None
        calls: Iterator[object] = (each.call for each in dependants(self.dependant))
        return next((call for call in calls if isinstance(call, Needs)), None)


def _copy(answer: Response) -> Response:
    """The same answer, for another request: the layers write into its headers."""
    copied = Response(status_code=answer.status_code)
    copied.body, copied.raw_headers = answer.body, list(answer.raw_headers)
    return copied
