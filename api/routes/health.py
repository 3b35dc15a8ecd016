"""Is the process alive, and is it fit to be asked? Beside `/api/v1` too, where orchestrators look."""

from __future__ import annotations

from fastapi import APIRouter, Response
from starlette.requests import Request

from api.http.dependencies import SAYS_WHO, State, identify
from api.http.openapi import KNOWN_OR_NOT
from api.schemas.health import AliveOut, ReadyOut
from api.services.readiness import readiness
from api.state import ApiState
from trading_core.auth.permissions import Action
from trading_core.domain.errors import AlgoTrendyError

router = APIRouter(prefix="/health", tags=["health"])
root_router = APIRouter(include_in_schema=False)


@router.get("/live", summary="Is the process alive?")
async def is_alive() -> AliveOut:
    """Always yes, when it answers at all."""
    return AliveOut()


@router.get(
    "/ready",
    summary="Is the process fit to be asked?",
    responses={503: {"model": ReadyOut, "description": "It is not."}},
    openapi_extra=KNOWN_OR_NOT,
)
async def is_ready(state: State, request: Request, response: Response) -> ReadyOut:
    """Its database answers at the right revision, and it still holds the accounts it runs. Details need `audit:read`."""
    checks = await state.shared.once("readiness", lambda: readiness(state))  # anybody may ask, as often as they like
    answer = ReadyOut.of(checks, shown=await _may_know(state, request))
    response.status_code = 200 if answer.status == "ready" else 503
    return answer


async def _may_know(state: ApiState, request: Request) -> bool:
    if not SAYS_WHO & set(request.headers):
        return False
    try:
        return (await identify(state, request)).principal.may(Action.READ_AUDIT)
    except AlgoTrendyError:  # whoever watches the process must get an answer, with a bad token too
        return False


root_router.add_api_route("/livez", is_alive, methods=["GET", "HEAD"], name="is_alive_at_root")
root_router.add_api_route("/readyz", is_ready, methods=["GET", "HEAD"], name="is_ready_at_root", response_model=ReadyOut)
