"""What a client sends over a socket. A field that is not known is refused."""

from __future__ import annotations

import json
from typing import Annotated, Literal

from pydantic import Field, SecretStr, TypeAdapter, ValidationError

from api.http.problems import Problem, kind_of
from api.schemas.common import Body
from trading_core.domain.errors import AlgoTrendyError, InvalidInput

LONGEST = 8_192  # characters of one frame; an access token is the longest thing in any
MOST_TOPICS = 50  # of one frame
_TOPIC = r"^(orders|positions|equity|risk|runs|run:[!-~]{1,200}|market:[A-Za-z0-9.\-]{1,20}/[A-Za-z0-9.\-]{1,20})$"
_TYPE = "urn:problem-type:algotrendy:"

Topics = Annotated[list[Annotated[str, Field(pattern=_TOPIC)]], Field(min_length=1, max_length=MOST_TOPICS)]
AccountName = Annotated[str, Field(min_length=1, max_length=100)]


class Auth(Body):
    """The first frame: an access token or an API key."""

    type: Literal["auth"]
    token: Annotated[SecretStr, Field(min_length=1, max_length=LONGEST)]


class Subscribe(Body):
    """Topics of one account, from now on or from behind a position."""

    type: Literal["subscribe"]
    topics: Topics
    account: AccountName
    after: Annotated[int | None, Field(ge=0, lt=2**63)] = None


class Unsubscribe(Body):
    type: Literal["unsubscribe"]
    topics: Topics
    account: AccountName


class Ping(Body):
    type: Literal["ping"]


_FRAMES: TypeAdapter[Auth | Subscribe | Unsubscribe | Ping] = TypeAdapter(
    Annotated[Auth | Subscribe | Unsubscribe | Ping, Field(discriminator="type")]
)


def read_frame(text: str) -> Auth | Subscribe | Unsubscribe | Ping:
    """A client's frame.

    Raises:
        InvalidInput: it is none, without the values that were sent: one of them may be a token.
    """
    try:
        return _FRAMES.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InvalidInput(
            f"the frame cannot be used: {where + ': ' if where else ''}{first['msg']}",
            not_done="Nothing was done",
            next_step="docs/live.md lists the frames",
        ) from None


def error_frame(error: AlgoTrendyError, request_id: str) -> str:
    """A problem as a frame, with the fields it has over HTTP."""
    status, kind, title = kind_of(error)
    hidden = status == 500 or kind == "store-unavailable"  # its words may name files and hosts
    told = Problem(
        type=_TYPE + kind,
        title=title,
        status=status,
        detail="the desk could not do this" if hidden else error.what,
        not_done="" if hidden else error.not_done,
        next_step="Ask again later" if hidden else error.next_step,
        instance=f"urn:request:{request_id}",
    )
    return json.dumps({"type": "error", "problem": told.model_dump(mode="json")}, separators=(",", ":"))
