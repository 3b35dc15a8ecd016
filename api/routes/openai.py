"""The desk as a model for ready-made chat programs: OpenAI's chat completions over conversations with the desk."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Header, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import SecretStr
from starlette.exceptions import HTTPException
from starlette.responses import StreamingResponse

from api.http import problems
from api.http.dependencies import Caller, State, allowed
from api.http.problems import NotFound, TooManyRequests
from api.live.access import RunFacts
from api.live.hub import Hub, hub_of
from api.live.logins import token_of
from api.schemas.openai import AnswerMessage, ChatCompletion, ChatRequest, Choice, Model, Models, Usage
from api.services.openai_threads import Threads, thread_of
from api.services.turns import Speech, account_for, require_answered, spoken
from api.state import ApiState
from trading_core.auth.permissions import Action, Principal
from trading_core.domain.errors import AlgoTrendyError, ModelError, NotAuthenticated, StoreUnavailable
from trading_core.persistence.records import RunKind

PREFIX = "/openai/v1"
CONFIRMING = (
    "To place it, confirm it in `algotrendy chat`, or send POST /api/v1/proposals/{id}/confirm with content hash {hash}; "
    "this door cannot."
)
_MODELS: Mapping[str, str] = {
    "algotrendy": "",
    **{f"algotrendy-{name}": f"@{name}" for name in ("market", "signal", "risk", "execution", "rebalancing")},
}
_SPARE = 2.0  # seconds before a request is given up, in which its answer is still sent
_THREAD = "X-Conversation-Id"

_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The answer; with `stream`, as chunks.",
        "content": {
            "text/event-stream": {
                "schema": {"type": "string", "description": "`chat.completion.chunk` objects, then `[DONE]`."},
                "example": 'data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"15.6 %"}}]}\n\n',
            }
        },
    }
}


class OpenAIRoute(APIRoute):
    """Errors are problem details like everywhere, with the member `error` beside that OpenAI's clients read."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handler(request)
            except AlgoTrendyError as error:
                return _for_clients(await problems.on_error(request, error))
            except RequestValidationError as error:
                return _for_clients(await problems.on_validation(request, error))
            except HTTPException as error:
                return _for_clients(await problems.on_http_error(request, error))

        return answer


@asynccontextmanager
async def _threads(app: FastAPI) -> AsyncIterator[None]:
    app.state.openai_threads = Threads(app.state.desk)
    yield


_routes = APIRouter(tags=["openai"], route_class=OpenAIRoute)

Asker = Annotated[Principal, allowed(Action.READ_PORTFOLIO)]
ModelName = Annotated[str, Path(pattern=r"^[!-~]{1,100}$", description="A model's name.", examples=["algotrendy-risk"])]


@_routes.get("/models", summary="List what can be named as model")
async def list_chat_models(caller: Caller) -> Models:
    """The whole desk, and each of its agents."""
    return Models(data=[Model(id=name) for name in _MODELS])


@_routes.get("/models/{model}", summary="Read what a model's name stands for")
async def get_chat_model(caller: Caller, model: ModelName) -> Model:
    """The same as in the list."""
    return Model(id=_known(model))


@_routes.post("/chat/completions", summary="Ask the desk as a model", response_model=ChatCompletion, responses=_STREAM)
async def create_chat_completion(
    request: Request,
    state: State,
    caller: Caller,
    who: Asker,
    body: ChatRequest,
    account: Annotated[str | None, Header(alias="X-Account", max_length=100, description="For callers with several.")] = None,
    conversation: Annotated[
        str | None,
        Header(
            alias=_THREAD,
            max_length=200,
            pattern=r"^[!-~]+$",
            description="A name of your own for the thread, or the id that came with an answer.",
        ),
    ] = None,
) -> Response:
    """The last message of role `user` is the question. It stands in a conversation of the caller's own, found by
    `X-Conversation-Id`, else by how the thread begins; what else the client sends counts as a quotation at most. An order that is
    wished for comes back as a card in the text, and is confirmed elsewhere.
    """
    mention = _MODELS[_known(body.model)]
    on = await account_for(state, caller, Action.READ_PORTFOLIO, account or "", how="in the header X-Account")
    await require_answered(state, on.account_id)
    threads: Threads = request.app.state.openai_threads
    thread = thread_of(who, on.account_id, body.messages, body.user or "", conversation or "")
    conversation_id, run_id = await threads.ask(who, on.account_id, thread, mention)
    run = RunFacts(run_id, on.account_id, RunKind.CONVERSATION, who.name)
    turn = _Turn(hub_of(request.app), run, token_of(request), body, int(state.clock.now().timestamp()), conversation_id)
    try:
        return await (turn.stream() if body.stream else turn.whole(threads))
    except TooManyRequests:
        threads.is_late(run_id)  # it was asked: whoever comes back with the same request gets that answer
        raise


@dataclass(frozen=True, slots=True)
class _Turn:
    """A question that was asked, and how its answer is given."""

    hub: Hub
    run: RunFacts
    token: SecretStr
    body: ChatRequest
    created: int
    conversation: str

    @property
    def state(self) -> ApiState:
        return self.hub.state

    async def whole(self, threads: Threads) -> Response:
        speech, parts = self._speech(), list[str]()
        try:
            async with (
                asyncio.timeout(max(0.1, self.state.settings.request_timeout - _SPARE)),
                aclosing(spoken(self.hub, self.run, self.token, speech)) as pieces,
            ):
                async for piece in pieces:
                    parts.append(piece)
        except TimeoutError:
            pass
        if not speech.is_over:
            threads.is_late(self.run.run_id)
            raise ModelError(
                "the answer takes longer than a request may",
                not_done="It is still being made",
                next_step="Send the same request again to get it, or ask with `stream`",
            )
        answer = ChatCompletion(
            id=f"chatcmpl-{self.run.run_id}",
            created=self.created,
            model=self.body.model,
            choices=[Choice(message=AnswerMessage(content="".join(parts)))],
            usage=await self._usage(),
        )
        return Response(answer.model_dump_json(), media_type="application/json", headers={_THREAD: self.conversation})

    async def stream(self) -> Response:
        speech = self._speech()
        pieces = spoken(self.hub, self.run, self.token, speech)
        await anext(pieces)  # whoever finds no room is told so in the usual form of an error
        headers = {"Cache-Control": "no-cache, no-store", "X-Accel-Buffering": "no", _THREAD: self.conversation}
        return StreamingResponse(self._chunks(pieces, speech), media_type="text/event-stream", headers=headers)

    async def _chunks(self, pieces: AsyncGenerator[str, None], speech: Speech) -> AsyncIterator[bytes]:
        async with aclosing(pieces):
            yield self._chunk({"role": "assistant", "content": ""})
            try:
                async for piece in pieces:
                    yield self._chunk({"content": piece})
            except StoreUnavailable:
                yield _event({"error": {"message": "the database cannot be reached now", "type": "server_error"}})
                return
            except NotAuthenticated as error:
                yield _event({"error": {"message": str(error), "type": "invalid_request_error", "code": "not-authenticated"}})
                return
        if not speech.is_over:
            return  # the server ends: without its last words nobody takes this for a whole answer
        yield self._chunk({}, finish="stop")
        if self.body.stream_options is not None and self.body.stream_options.include_usage:
            usage = await self._usage()
            yield _event({**self._head(), "choices": [], "usage": usage.model_dump()})
        yield b"data: [DONE]\n\n"

    def _chunk(self, delta: Mapping[str, str], finish: str | None = None) -> bytes:
        return _event({**self._head(), "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]})

    def _head(self) -> dict[str, object]:
        return {
            "id": f"chatcmpl-{self.run.run_id}",
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.body.model,
        }

    def _speech(self) -> Speech:
        return Speech(headed=not _MODELS[self.body.model], confirming=CONFIRMING)

    async def _usage(self) -> Usage:
        """What models took, over all agents that answered."""
        async with self.state.database.reading() as uow:
            said = await uow.conversations.last_messages(self.conversation, 20)
        asked = told = 0
        for message in said:
            used = message.data.get("usage")
            if message.run_id == self.run.run_id and isinstance(used, Mapping):
                asked += int(used.get("input_tokens") or 0)
                told += int(used.get("output_tokens") or 0)
        return Usage(prompt_tokens=asked, completion_tokens=told, total_tokens=asked + told)


def _known(model: str) -> str:
    if model not in _MODELS:
        raise NotFound(
            f"there is no model {model[:100]!r}", not_done="Nothing was asked", next_step=f"Name one of {', '.join(_MODELS)}"
        )
    return model


def _for_clients(answer: Response) -> Response:
    """A problem, with what OpenAI's clients read of an error."""
    content = json.loads(bytes(answer.body))
    said = ". ".join(str(content[key]).rstrip(".") for key in ("detail", "not_done", "next_step") if content.get(key))
    fields = "; ".join(f"{each['location']}: {each['message']}" for each in content.get("errors", ()))
    content["error"] = {
        "message": f"{said} ({fields})" if fields else said,
        "type": "server_error" if answer.status_code >= 500 else "invalid_request_error",
        "param": None,
        "code": str(content["type"]).rpartition(":")[2],
    }
    headers = {name: value for name, value in answer.headers.items() if name not in {"content-length", "content-type"}}
    return Response(json.dumps(content), answer.status_code, headers, problems.MEDIA_TYPE)


def _event(data: Mapping[str, object]) -> bytes:
    return b"data: " + json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode() + b"\n\n"


router = APIRouter(lifespan=_threads)
router.include_router(_routes, prefix=PREFIX)
root_router = APIRouter(include_in_schema=False)
root_router.include_router(_routes, prefix="/v1")  # where programs look that take a host and no path
