"""Errors as problem details (RFC 9457): every error of the API is `application/problem+json` with these fields.

No stack trace and no value that was sent goes into one: a body may hold a password.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from api.http.context import context_of
from api.http.routes_table import allowed_methods
from trading_core.domain import errors

MEDIA_TYPE = "application/problem+json"
_TYPE = "urn:problem-type:algotrendy:"
_log = logging.getLogger("algotrendy.api")

# The first that fits counts: subclasses stand before their bases.
_KINDS: Sequence[tuple[type[errors.AlgoTrendyError], int, str, str]]


class NotFound(errors.AlgoTrendyError):
    """What was asked for is not there, or the caller may not know of it."""


class Stale(errors.AlgoTrendyError):
    """What the caller wants to change is no longer what the caller saw (If-Match)."""


class DeskElsewhere(errors.MarketDataUnavailable):
    """Only the account's desk can tell, and this process has none. That is how it was started, and no fault of anything."""


class TooManyRequests(errors.AlgoTrendyError):
    """The caller asks too often.

    Args:
        retry_after: seconds until asking again makes sense.
    """

    def __init__(self, what: str, retry_after: int) -> None:
        super().__init__(what, not_done="Nothing was done", next_step=f"Ask again in {retry_after} s")
        self.retry_after = retry_after


_KINDS = (
    (NotFound, 404, "not-found", "Not found"),
    (Stale, 412, "stale", "Changed meanwhile"),
    (TooManyRequests, 429, "too-many-requests", "Too many requests"),
    (errors.InvalidInput, 422, "invalid-input", "Invalid input"),
    (errors.NotAuthenticated, 401, "not-authenticated", "Not authenticated"),
    (errors.NotPermitted, 403, "not-permitted", "Not permitted"),
    (errors.UnknownUser, 404, "not-found", "Not found"),
    (errors.UserError, 409, "user-conflict", "Conflict with a user or key"),
    (errors.UnknownRun, 404, "not-found", "Not found"),
    (errors.RunError, 409, "run-conflict", "Conflict with a run"),
    (errors.ApprovalError, 409, "approval-conflict", "Approval not possible"),
    (errors.IntentConflict, 409, "intent-conflict", "Conflict with an intent"),
    (errors.LedgerError, 409, "ledger-conflict", "Conflict with the record"),
    (errors.OrderRefused, 409, "order-refused", "Refused by the venue"),
    (errors.AmbiguousOutcome, 503, "outcome-unknown", "Outcome unknown"),
    (errors.BrokerError, 503, "broker-unavailable", "Venue out of reach"),
    (errors.BadMarketFile, 422, "bad-market-file", "Bad market file"),
    (errors.UnknownTimeframe, 422, "invalid-input", "Invalid input"),
    (errors.MarketDataError, 503, "market-data-unavailable", "No market data"),
    (errors.ChannelError, 503, "channel-unavailable", "Source out of reach"),
    (errors.ModelError, 503, "model-unavailable", "Model out of reach"),
    (errors.SecretError, 503, "secret-unavailable", "Secret out of reach"),
    (errors.StoreUnavailable, 503, "store-unavailable", "Database out of reach"),
    (errors.ConfigurationError, 422, "configuration", "Configuration refused"),
)

_BY_STATUS = {
    404: ("not-found", "Not found"),
    405: ("method-not-allowed", "Method not allowed"),
    413: ("too-large", "Too large"),
    415: ("media-type", "Media type not supported"),
    422: ("invalid-input", "Invalid input"),
}


class FieldProblem(BaseModel):
    """One value that was refused."""

    location: str = Field(description="Where it stands: `body`, `query`, `path` or `header`, then the names on the way to it.")
    message: str


class Problem(BaseModel):
    """Problem details, RFC 9457."""

    type: str = Field(description="Names the kind of problem; the same for all of its kind.")
    title: str
    status: int
    detail: str = Field(description="What happened.")
    not_done: str = Field(description="What was not done because of it.")
    next_step: str = Field(description="What the caller can do about it.")
    instance: str = Field(description="Names this one request; the server's log has it too.")
    errors: list[FieldProblem] = []


# Kind, title, detail, what was not done and the next step, for the description.
_EXAMPLES: Mapping[str, tuple[str, str, str, str, str]] = {
    "401": ("not-authenticated", "Not authenticated", "the token was not accepted", "Nothing was done", "Log in again"),
    "403": ("not-permitted", "Not permitted", "'user:alice' may not users:manage", "Nothing was changed", "Ask somebody who may"),
    "404": ("not-found", "Not found", "no account is called 'practise'", "Nothing was done", "GET /api/v1/accounts lists yours"),
    "409": (
        "approval-conflict",
        "Approval not possible",
        "the approval has expired",
        "Nothing was sent",
        "Have it proposed again",
    ),
    "412": ("stale", "Changed meanwhile", "somebody changed it meanwhile", "Nothing was changed", "Read it again, then decide"),
    "413": ("too-large", "Too large", "the body is larger than 1,000,000 bytes", "Nothing was done", "Send less"),
    "422": ("invalid-input", "Invalid input", "1 value cannot be used", "Nothing was done", "Mend what `errors` lists"),
    "429": (
        "too-many-requests",
        "Too many requests",
        "more than 120 requests a minute (writes)",
        "Nothing was done",
        "Wait 31 s",
    ),
    "500": ("internal", "Internal error", "something went wrong that the desk did not expect", "", "The server's log has more"),
    "503": ("store-unavailable", "Database out of reach", "the database cannot be reached", "", "Ask again later"),
}


def example(status: str) -> dict[str, object]:
    """What a problem of this status looks like."""
    kind, title, detail, not_done, next_step = _EXAMPLES[status]
    found = [FieldProblem(location="query.limit", message="Input should be less than or equal to 200")] if status == "422" else []
    made = Problem(
        type=_TYPE + kind, title=title, status=int(status), detail=detail, not_done=not_done, next_step=next_step,
        instance="urn:request:3f2c9d7a51e8460b", errors=found,
    )  # fmt: skip
    return made.model_dump()


def problem(
    request_id: str,
    status: int,
    kind: str,
    title: str,
    detail: str,
    *,
    not_done: str = "",
    next_step: str = "",
    found: Iterable[FieldProblem] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The answer that tells of a problem."""
    body = Problem(
        type=_TYPE + kind,
        title=title,
        status=status,
        detail=detail,
        not_done=not_done,
        next_step=next_step,
        instance=f"urn:request:{request_id}",
        errors=list(found),
    )
    return Response(body.model_dump_json(), status, headers, MEDIA_TYPE)


def of_error(request_id: str, error: errors.AlgoTrendyError) -> Response:
    """The answer to one of the desk's own errors."""
    status, kind, title = kind_of(error)
    headers: dict[str, str] = {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if status == 503:
        headers["Retry-After"] = "5"
    if isinstance(error, TooManyRequests):
        headers["Retry-After"] = str(error.retry_after)
    what, not_done, next_step = error.what, error.not_done, error.next_step
    if status >= 500:
        level = logging.DEBUG if isinstance(error, DeskElsewhere) else logging.WARNING
        _log.log(level, "%s: %s", type(error).__name__, error, extra={"request_id": request_id})
    if isinstance(error, errors.StoreUnavailable) or status == 500:
        # Its words are for whoever runs the desk: they may name files and hosts.
        what = "the database cannot be reached at the moment" if status == 503 else "the desk could not do this"
        not_done, next_step = "", "Ask again later; the server's log says why"
    return problem(request_id, status, kind, title, what, not_done=not_done, next_step=next_step, headers=headers)


def kind_of(error: errors.AlgoTrendyError) -> tuple[int, str, str]:
    """Status, kind and title of an error."""
    for base, status, kind, title in _KINDS:
        if isinstance(error, base):
            return status, kind, title
    return 500, "internal", "Internal error"


def cut_off(request_id: str) -> Response:
    """The answer to what was still at work when the server ended."""
    return problem(
        request_id,
        503,
        "server-ends",
        "Server ends",
        "the server ended before the answer was made",
        not_done="What was asked may be half done",
        next_step="Look at the state before you ask again; under an Idempotency-Key a write is not done twice",
        headers={"Retry-After": "5", "Connection": "close"},
    )


def unhandled(request_id: str) -> Response:
    """The answer to what nobody foresaw; the log has the rest under the request's id."""
    return problem(
        request_id,
        500,
        "internal",
        "Internal error",
        "something went wrong that the desk did not expect",
        next_step="Look at the state before you ask again; the server's log has more under the request's id",
    )


async def on_error(request: Request, error: Exception) -> Response:
    """FastAPI's handler of the desk's own errors."""
    request_id = context_of(request.scope).request_id
    return of_error(request_id, error) if isinstance(error, errors.AlgoTrendyError) else unhandled(request_id)


async def on_http_error(request: Request, error: Exception) -> Response:
    """FastAPI's handler of its own errors: no such route, no such method, a body that is no JSON."""
    request_id = context_of(request.scope).request_id
    if not isinstance(error, HTTPException):
        return unhandled(request_id)
    status, detail, headers, next_step = error.status_code, str(error.detail), dict(error.headers or {}), ""
    if status == 404:  # a thing that is not there is told by `NotFound`
        detail, next_step = (
            "nothing is at this path",
            "Check it, also for a slash at its end; the description of the API lists every path",
        )
    if status == 400:  # what FastAPI says to bytes that are no text; to other bodies that are no JSON it says 422
        status, detail = 422, "the body is no JSON in UTF-8"
    if status == 405:
        headers["Allow"] = ", ".join(allowed_methods(request.scope))
        detail, next_step = f"this path takes no {request.method}", f"It takes {headers['Allow']}"
    kind, title = _BY_STATUS.get(status, (f"http-{status}", HTTPStatus(status).phrase))
    return problem(request_id, status, kind, title, detail, not_done="Nothing was done", next_step=next_step, headers=headers)


async def on_validation(request: Request, error: Exception) -> Response:
    """FastAPI's handler of values that do not fit. What was sent is not repeated."""
    request_id = context_of(request.scope).request_id
    if not isinstance(error, RequestValidationError):
        return unhandled(request_id)
    next_step = "Mend what `errors` lists; /openapi.json says what is taken"
    if any(tuple(item["loc"]) == ("body",) for item in error.errors()) and not _is_json(request):
        next_step = "Send the body as JSON, and say so with `Content-Type: application/json`"
    found = [
        FieldProblem(location=".".join(map(str, item["loc"])), message=str(item["msg"]).removeprefix("Value error, "))
        for item in error.errors()
    ]
    return problem(
        request_id,
        422,
        "invalid-input",
        "Invalid input",
        f"{len(found)} value{'s' if len(found) != 1 else ''} cannot be used",
        not_done="Nothing was done",
        next_step=next_step,
        found=found,
    )


def _is_json(request: Request) -> bool:
    """Whether the body is said to be: otherwise it was not read as such, whatever it is."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))
