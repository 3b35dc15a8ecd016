"""Chat models behind any OpenAI-compatible endpoint: OpenAI itself, vLLM, Ollama, llama.cpp.

`langchain_openai` takes about a second to import, so it is imported when the first such model is built and not before.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from agents.models.failures import explain
from agents.models.spec import NO_KEY, ModelSettings
from trading_core.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from openai import DefaultAsyncHttpxClient as HttpPool

__all__ = ["build", "describe", "explain", "http_pool"]

# Where a proxy named by the environment must not be asked.
_LOOPBACK = ("all://127.0.0.1", "all://localhost", "all://[::1]")


@asynccontextmanager
async def http_pool() -> AsyncIterator[HttpPool]:
    """Connections to keep open between calls, for every model of a system, whatever its endpoint and timeout.

    `langchain_openai` has a pool of its own, one per process, endpoint and timeout; it is never closed, and a second event
    loop in the process trips over the first one's connections. This one ends with the system that opened it.
    """
    from openai import DefaultAsyncHttpxClient

    async with DefaultAsyncHttpxClient(mounts=dict.fromkeys(_LOOPBACK)) as pool:
        yield pool


def build(settings: ModelSettings, pool: HttpPool | None = None) -> BaseChatModel:
    """The chat model that `settings` describe. Nothing is sent yet.

    Args:
        settings: of an `openai:` model.
        pool: connections shared with other models, from `http_pool`. Serves asynchronous calls only.

    Raises:
        ConfigurationError: when `settings` are not of an `openai:` model.
    """
    if settings.provider != "openai":
        raise ConfigurationError(f"model {settings.model!r} is not called over HTTP", not_done="No model was built")
    from langchain_openai import ChatOpenAI

    # OpenAI's own name for the limit is `max_completion_tokens`, which not every other server knows: there an unknown name
    # would be ignored and the answer unlimited. `max_tokens` is the name that all of those share.
    hosted = settings.is_hosted
    return ChatOpenAI(
        model=settings.name,
        base_url=settings.endpoint,
        api_key=settings.api_key or NO_KEY,
        temperature=settings.temperature,
        timeout=settings.timeout,
        stream_chunk_timeout=settings.timeout,
        max_retries=settings.max_retries,
        max_completion_tokens=settings.max_tokens if hosted else None,
        extra_body=None if hosted or settings.max_tokens is None else {"max_tokens": settings.max_tokens},
        use_responses_api=False,
        stream_usage=True,
        openai_proxy=None,
        http_async_client=pool,
    )


def describe(model: BaseChatModel) -> str:
    """A model in one phrase for logs and reports, such as `openai:gpt-x at http://127.0.0.1:1234/v1`. Holds no secret."""
    endpoint = getattr(model, "openai_api_base", None)
    name = getattr(model, "model_name", None)
    return f"openai:{name} at {endpoint}" if endpoint and name else model._llm_type
