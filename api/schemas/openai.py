"""Chat completions as OpenAI's clients speak them. https://platform.openai.com/docs/api-reference/chat"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.schemas.common import Answer, Body
from api.schemas.fields import shown_as

Ignored = Annotated[object, Field(description="Taken, and of no effect: the desk's agents have settings of their own.")]


# Far longer than a body may be; a bound has the text looked at, so that half of a surrogate pair is refused here.
Text = Annotated[str, Field(max_length=10_000_000)]


class TextPart(BaseModel):
    """A piece of a message. Images and sounds are refused: no agent of the desk looks at any."""

    type: Literal["text", "input_text"]
    text: Text


class ChatMessage(BaseModel):
    """One message of the client's thread. Whatever its role says, only the last one of a user is a question."""

    model_config = ConfigDict(frozen=True)  # clients send back what they were sent, with fields of their own

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Text | list[TextPart] | None = None

    @property
    def text(self) -> str:
        if self.content is None or isinstance(self.content, str):
            return self.content or ""
        return "\n".join(part.text for part in self.content)


class StreamOptions(BaseModel):
    """What a stream has beside words."""

    include_usage: bool = Field(default=False, description="A last chunk with the tokens that the answer took.")


class ChatRequest(Body):
    """A question with the thread that it stands in."""

    model_config = shown_as(
        {"model": "algotrendy", "messages": [{"role": "user", "content": "What is our exposure?"}], "stream": False}
    ) | ConfigDict(extra="forbid", frozen=True)

    model: str = Field(max_length=100, description="`algotrendy`, or one agent: `algotrendy-risk`, …")
    messages: list[ChatMessage] = Field(min_length=1, max_length=500)
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    user: str | None = Field(default=None, max_length=500, description="Keeps apart threads that begin with the same words.")
    n: Literal[1] | None = Field(default=None, description="There is one answer.")
    audio: Ignored = None
    frequency_penalty: Ignored = None
    function_call: Ignored = None
    functions: Ignored = None
    logit_bias: Ignored = None
    logprobs: Ignored = None
    max_completion_tokens: Ignored = None
    max_tokens: Ignored = None
    metadata: Ignored = None
    modalities: Ignored = None
    parallel_tool_calls: Ignored = None
    prediction: Ignored = None
    presence_penalty: Ignored = None
    prompt_cache_key: Ignored = None
    prompt_cache_retention: Ignored = None
    reasoning_effort: Ignored = None
    response_format: Ignored = None
    safety_identifier: Ignored = None
    seed: Ignored = None
    service_tier: Ignored = None
    stop: Ignored = None
    store: Ignored = None
    temperature: Ignored = None
    tool_choice: Ignored = None
    tools: Ignored = None
    top_logprobs: Ignored = None
    top_p: Ignored = None
    verbosity: Ignored = None
    web_search_options: Ignored = None


class Usage(Answer):
    """Tokens of models; none where the rules model answered."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class AnswerMessage(Answer):
    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class Choice(Answer):
    index: Literal[0] = 0
    message: AnswerMessage
    logprobs: None = None
    finish_reason: Literal["stop"] = "stop"


class ChatCompletion(Answer):
    """An answer in one piece."""

    model_config = shown_as(
        {
            "id": "chatcmpl-conversation-0f1e2d3c4b5a69788796a5b4",
            "object": "chat.completion",
            "created": 1772452805,
            "model": "algotrendy",
            "choices": [
                {
                    "index": 0,
                    "message": {
                        "role": "assistant",
                        "content": "**Risk:** 15.6 % of the equity is in the market [e1a2b3c4d].",
                        "refusal": None,
                    },
                    "logprobs": None,
                    "finish_reason": "stop",
                }
            ],
            "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
        }
    )

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int = Field(description="Unix time, seconds.")
    model: str
    choices: list[Choice]
    usage: Usage


class Model(Answer):
    """Who answers under a model's name."""

    model_config = shown_as({"id": "algotrendy-risk", "object": "model", "created": 0, "owned_by": "algotrendy"})

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: Literal["algotrendy"] = "algotrendy"


class Models(Answer):
    model_config = shown_as(
        {"object": "list", "data": [{"id": "algotrendy", "object": "model", "created": 0, "owned_by": "algotrendy"}]}
    )

    object: Literal["list"] = "list"
    data: list[Model]
