"""What the API refuses, as an error like those of the desk: what happened, what was not done, what to do next."""

from __future__ import annotations

import httpx

from api.console.text import clean
from trading_core.domain.errors import AlgoTrendyError


class ApiProblem(AlgoTrendyError):
    """The API said no.

    Args:
        status: of HTTP.
        kind: the last part of the problem's type.
    """

    def __init__(self, status: int, kind: str, what: str, not_done: str, next_step: str) -> None:
        super().__init__(what, not_done=not_done, next_step=next_step)
        self.status, self.kind = status, kind


class DeskUnreachable(AlgoTrendyError):
    """Nobody answers at the desk's address, or it broke off and did not come back."""


def problem_of(answer: httpx.Response) -> ApiProblem:
    """Of an answer with an error status, whose body has been read."""
    try:
        told = answer.json()
    except ValueError:
        told = None
    if not isinstance(told, dict) or not isinstance(told.get("detail"), str):
        what = f"what answers at {answer.url.copy_with(path='/', query=None)} says {answer.status_code} ({answer.reason_phrase})"
        return ApiProblem(answer.status_code, "", what, "Nothing was done", "Is it a desk? `algotrendy serve` prints its address")
    found = "; ".join(f"{one['location']}: {one['message']}" for one in told.get("errors", []))
    what = clean(told["detail"]) + (f" ({clean(found)})" if found else "")
    kind = str(told.get("type", "")).rpartition(":")[2]
    return ApiProblem(answer.status_code, kind, what, clean(told.get("not_done", "")), clean(told.get("next_step", "")))
