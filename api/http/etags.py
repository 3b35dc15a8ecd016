"""Versions of single resources: who changes one may say which version he saw, and is stopped when it is no longer that one.

@router.put("/…")
async def put_it(response: Response, if_match: IfMatch = None) -> …:
    require_match(if_match, etag_of(known.version))
    …
    response.headers["ETag"] = etag_of(changed.version)
"""

from __future__ import annotations

import hashlib
from typing import Annotated

from fastapi import Header
from pydantic import BaseModel

from api.http.problems import Stale

IfMatch = Annotated[
    str | None,
    Header(alias="If-Match", max_length=200, description="The ETag of the version to change; another one there is answered 412."),
]


def etag_of(version: int | BaseModel) -> str:
    """The ETag of a version number, or of the very content where no version is counted."""
    if isinstance(version, int):
        return f'"{version}"'
    return f'"{hashlib.sha256(version.model_dump_json().encode()).hexdigest()[:32]}"'


def require_match(if_match: str | None, etag: str) -> None:
    """Go on only when the caller named no version, any (`*`), or this one (RFC 9110, section 13.1.1).

    Raises:
        Stale: somebody changed it since.
    """
    if if_match is None or if_match.strip() == "*":
        return
    if etag not in {part.strip() for part in if_match.split(",")}:
        raise stale()


def stale() -> Stale:
    """The answer to who wants to change what is no longer as it was."""
    return Stale("somebody changed it since you read it", not_done="Nothing was changed", next_step="Read it again, then decide")
