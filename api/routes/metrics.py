"""`GET /metrics`: what this process counts, for Prometheus. Beside `/api/v1` too, where scrapers look for it."""

from __future__ import annotations

import hmac
from ipaddress import ip_address

from fastapi import APIRouter, Response
from starlette.requests import Request

from api.http.dependencies import State, identify
from api.http.openapi import KNOWN_OR_NOT
from api.http.problems import NotFound
from api.observability.metrics import Metrics
from api.state import ApiState
from trading_core.auth.permissions import Action

router = APIRouter(tags=["metrics"])
root_router = APIRouter(include_in_schema=False)

_EXAMPLE = """\
# HELP algotrendy_runs_total Runs that ended.
# TYPE algotrendy_runs_total counter
algotrendy_runs_total{kind="cycle",state="done"} 12.0
"""
# A proxy on the same machine stands for people elsewhere: what it hands on does not come from the machine itself.
_HANDED_ON = ("forwarded", "x-forwarded-for", "x-real-ip", "via")


@router.get(
    "/metrics",
    operation_id="read_metrics",
    summary="Read the metrics of this process",
    description=(
        f"In Prometheus' text format, or in OpenMetrics when `Accept` asks for that. Needs `{Action.READ_AUDIT.value}`, or the "
        "metrics token as `Authorization: Bearer`, or to come from the machine itself where the settings allow that."
    ),
    openapi_extra=KNOWN_OR_NOT,
    response_class=Response,
    responses={
        200: {
            "description": "The metrics.",
            "content": {
                kind: {"schema": {"type": "string"}, "example": _EXAMPLE}
                for kind in ("text/plain", "application/openmetrics-text")
            },
        }
    },
)
async def read_metrics(request: Request, state: State) -> Response:
    await _admit(state, request)
    if not isinstance(state.observer, Metrics):
        raise NotFound(
            "this process counts nothing", not_done="Nothing was read", next_step="Scrape a process of `algotrendy serve`"
        )
    content, content_type = await state.observer.exposition(request.headers.get("accept", ""))
    return Response(content, headers={"content-type": content_type})


async def _admit(state: ApiState, request: Request) -> None:
    """Let in whoever may read what everybody's work adds up to.

    Raises:
        NotAuthenticated: without a token that is accepted.
        NotPermitted: a user who may not read the record.
    """
    if state.settings.metrics_on_loopback and _is_from_here(request):
        return
    token = state.settings.metrics_token
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if token is not None and scheme.lower() == "bearer":
        expected = token.get_secret_value().encode()
        if expected and hmac.compare_digest(expected, given.strip().encode()):
            return
    (await identify(state, request)).principal.require(Action.READ_AUDIT)


def _is_from_here(request: Request) -> bool:
    if request.client is None or any(name in request.headers for name in _HANDED_ON):
        return False
    try:
        return ip_address(request.client.host).is_loopback
    except ValueError:  # a socket of the machine has no address
        return False


root_router.add_api_route("/metrics", read_metrics, methods=["GET"], name="read_metrics_at_root")
