"""What a failed model call means, in the desk's errors.

A call fails with exceptions of four libraries and, for a body that is no answer at all, with bare built-in ones. `explain` makes
one sentence of each that is safe to log, show and put in a repair prompt: a server may repeat the key in its message, so
texts from outside are shortened and the key of the failed request is taken out.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING

from pydantic import ValidationError

from trading_core.domain.errors import InvalidAnswer, ModelError, ModelUnavailable

if TYPE_CHECKING:
    import openai
    from langchain.agents.structured_output import StructuredOutputError

_QUOTED = 200
"""Most characters of an outside text that a sentence repeats."""

_SHOWN_FAULTS = 3
"""Most schema violations that a sentence lists."""

_ABSTAINS = "The agent gave no answer"


def is_unheard(error: BaseException) -> bool:
    """Whether a model call ended because its answer was no longer waited for: it may have been made, and is paid for then."""
    if isinstance(error, asyncio.CancelledError):
        return True
    client = sys.modules.get("openai")  # not loaded here: where an error of its kind is, it is
    return client is not None and isinstance(error, client.APITimeoutError)


def explain(error: Exception) -> ModelError:
    """The desk's word for an exception out of a model call or an agent run.

    `InvalidAnswer` is for answers another try may mend, `ModelUnavailable` for an endpoint that gave none. A plain `ModelError`
    names an exception that no known failure raises.
    """
    if isinstance(error, ModelError):
        return error
    if isinstance(error, json.JSONDecodeError):
        return _undecodable(error)
    if isinstance(error, TimeoutError):
        return _unavailable("the model did not answer in time", "Raise its timeout or use a faster model")
    library = type(error).__module__.partition(".")[0]
    # Each library is imported only for an error it can have raised: importing one of them takes up to a second.
    explained = None
    if library in ("openai", "langchain_openai"):
        explained = _from_openai(error)
    elif library in ("langchain", "langgraph"):
        explained = _from_agent(error)
    elif library in ("httpx", "httpx2", "httpcore", "httpcore2"):
        explained = _unavailable(f"the connection to the model's endpoint failed ({type(error).__name__})", "Check the endpoint")
    elif isinstance(error, (AssertionError, KeyError, TypeError, ValueError)) and _raised_by_client(error):
        explained = _not_the_protocol()
    return explained or ModelError(f"the model call failed with an unforeseen {type(error).__name__}", not_done=_ABSTAINS)


def _unavailable(what: str, next_step: str = "") -> ModelUnavailable:
    return ModelUnavailable(what, not_done=_ABSTAINS, next_step=next_step)


def _not_the_protocol() -> ModelUnavailable:
    return _unavailable(
        "the endpoint's response is no chat completion", "Check that base_url is the root of an OpenAI-compatible API, with /v1"
    )


def _undecodable(error: json.JSONDecodeError) -> ModelError:
    """Either the whole HTTP body or the arguments of a tool call; langchain-openai attaches the response that failed."""
    body = getattr(getattr(error, "response", None), "text", None)
    if body == error.doc:
        return _not_the_protocol()
    return InvalidAnswer(f"the model called a tool with arguments that are no JSON ({error.msg}, character {error.pos})")


def _raised_by_client(error: Exception) -> bool:
    """Whether the innermost frame is the client library's: a malformed body reaches us as its built-in exceptions."""
    trace = error.__traceback__
    if trace is None:
        return False
    while trace.tb_next is not None:
        trace = trace.tb_next
    return str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0] in ("openai", "langchain_openai")


def _from_openai(error: Exception) -> ModelError | None:
    import openai

    match error:
        case openai.LengthFinishReasonError():
            return InvalidAnswer("the answer was cut off at the token limit", next_step="Raise max_tokens")
        case openai.ContentFilterFinishReasonError():
            return InvalidAnswer("the endpoint's content filter withheld the answer")
        case openai.APIStatusError():
            return _from_status(error)
        case openai.APITimeoutError():
            return _unavailable("the model did not answer in time", "Raise its timeout or use a faster model")
        case openai.APIConnectionError():
            return _unavailable(f"no connection to {_host(error)}", "Check that the endpoint runs and base_url is right")
        case openai.APIResponseValidationError():
            return _not_the_protocol()
        case openai.APIError():
            return _unavailable(f"{_host(error)} ended the answer with an error: {_quote(error)}")
        case _ if type(error).__name__ == "OpenAIRefusalError":
            return InvalidAnswer(f"the model declined to answer: {str(error)[:_QUOTED]!r}")
    return None


def _from_status(error: openai.APIStatusError) -> ModelUnavailable:
    where, code = _host(error), error.status_code
    if code in (401, 403):
        return _unavailable(f"{where} refused the API key ({code})", "Check the key and that it may use this model")
    if code == 404:
        return _unavailable(f"{where} has no such model or path (404)", "Check the model's name and base_url, which ends in /v1")
    if code == 429 and error.code == "insufficient_quota":
        return _unavailable(f"the account's quota at {where} is used up (429)", "Add credit or use another model")
    if code == 429:
        return _unavailable(f"{where} limits the rate of calls (429)", "Wait, or run fewer symbols at once")
    if code >= 500:
        return _unavailable(f"{where} failed on its side ({code})", "Try again later")
    return _unavailable(f"{where} refused the request ({code}): {_quote(error)}", "Check what this model accepts")


def _from_agent(error: Exception) -> ModelError | None:
    from langchain.agents.middleware.model_call_limit import ModelCallLimitExceededError
    from langchain.agents.structured_output import StructuredOutputError
    from langgraph.errors import GraphRecursionError

    if isinstance(error, StructuredOutputError):
        return InvalidAnswer(_unfit(error))
    if isinstance(error, ModelCallLimitExceededError):
        return InvalidAnswer(f"the model gave no answer within {error.run_count} calls", not_done=_ABSTAINS)
    if isinstance(error, GraphRecursionError):
        return InvalidAnswer("the model kept calling tools and gave no answer", not_done=_ABSTAINS)
    return None


def _unfit(error: StructuredOutputError) -> str:
    message = error.ai_message
    if declined := message.additional_kwargs.get("refusal"):
        return f"the model declined to answer: {str(declined)[:_QUOTED]!r}"
    if not message.text.strip() and not message.tool_calls:
        return "the model's answer is empty"
    # The library wraps the reason twice, and its own texts repeat the whole answer.
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, (json.JSONDecodeError, ValidationError)):
        cause = cause.__cause__
    if isinstance(cause, json.JSONDecodeError):
        return f"the model's answer is no JSON ({cause.msg}, character {cause.pos})"
    if isinstance(cause, ValidationError):
        wrong = [
            f"{'.'.join(map(str, each['loc'])) or 'answer'}: {each['msg']}"[:_QUOTED]
            for each in cause.errors(include_url=False, include_input=False, include_context=False)
        ]
        more = f" and {len(wrong) - _SHOWN_FAULTS} more" if len(wrong) > _SHOWN_FAULTS else ""
        return f"the model's answer does not fit {cause.title}: {'; '.join(wrong[:_SHOWN_FAULTS])}{more}"
    return "the model's answer does not fit its schema"


def _host(error: openai.APIError) -> str:
    url = error.request.url
    return f"{url.scheme}://{url.netloc.decode('ascii')}"


def _quote(error: openai.APIError) -> str:
    """The server's own words, shortened, and without the key of this request."""
    key = error.request.headers.get("authorization", "").removeprefix("Bearer ")
    said = " ".join(error.message.split())
    return repr((said.replace(key, "***") if key else said)[:_QUOTED])
