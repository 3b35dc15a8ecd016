"""One shape for every tool: typed arguments, a permission, a function; run the same way whoever calls it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, TypeVar

from langchain.tools import ToolRuntime
from langchain_core.tools import BaseTool, StructuredTool
from pydantic import BaseModel, Field, ValidationError

from tools.context import Evidence, Facts, ToolContext
from trading_core.auth.permissions import Action
from trading_core.domain.errors import AlgoTrendyError

A = TypeVar("A", bound=BaseModel)


class NoArguments(BaseModel):
    """For tools that need none."""


class SymbolArguments(BaseModel):
    """For tools about one market."""

    symbol: str = Field(max_length=30, description="unified symbol of this run, such as BTC/USDT")


@dataclass(frozen=True, slots=True)
class Tool(Generic[A]):
    """A tool of the desk.

    Attributes:
        name: what a model calls it.
        description: when to use it and what its fields mean, units included.
        arguments: the typed arguments; anything else a model sends is dropped.
        action: the permission the caller's principal needs.
        run: the work; raises errors of the desk's tree.
    """

    name: str
    description: str
    arguments: type[A]
    action: Action
    run: Callable[[ToolContext, A], Awaitable[Facts]]

    async def call(self, context: ToolContext, arguments: dict[str, Any]) -> Evidence:
        """Check the permission, run, and keep the result as evidence.

        A failure is evidence too: a model reads what went wrong and the record shows it. Nothing else than the desk's own
        sentence reaches the model.
        """
        try:
            context.principal.require(self.action)
            parsed = self.arguments.model_validate(arguments)
            result = await self.run(context, parsed)
            shown: Facts = parsed.model_dump(mode="json")
        except AlgoTrendyError as error:
            shown, result = _printable(arguments), {"error": str(error)}
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            shown, result = _printable(arguments), {"error": f"{'.'.join(map(str, first['loc']))}: {first['msg']}"}
        return context.keep(Evidence.of(self.name, shown, result))

    def as_langchain(self) -> BaseTool:
        """The same tool for `create_agent`."""

        async def run(runtime: ToolRuntime[ToolContext, Any], **arguments: Any) -> str:
            return (await self.call(runtime.context, arguments)).as_text()

        # As JSON schema, LangChain leaves the checking to `call`, whose sentence about it is shorter and is kept as evidence.
        # As a class without fields it would also drop the runtime.
        schema = deepcopy(_json_schema(self.arguments))
        return StructuredTool(name=self.name, description=self.description, args_schema=schema, coroutine=run)


@cache
def _json_schema(arguments: type[BaseModel]) -> dict[str, Any]:
    """Worked out once: a desk is opened with dozens of tools, and thousands of desks are opened to judge a model."""
    return arguments.model_json_schema()


def _printable(arguments: dict[str, Any]) -> Facts:
    """Enough of them to recognise the call by, in characters that every database keeps."""
    return {_plain_text(key)[:30]: _plain_text(value)[:100] for key, value in list(arguments.items())[:10]}


def _plain_text(value: object) -> str:
    return str(value)[:200].encode("unicode_escape").decode("ascii")
