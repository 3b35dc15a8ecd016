"""Why the desk did what it did, from the record."""

from __future__ import annotations

from pydantic import BaseModel, Field

from tools.base import Tool
from tools.context import Facts, ToolContext
from trading_core.auth.permissions import Action


class ExplainArguments(BaseModel):
    about: str = Field(
        max_length=64, description="a symbol such as BTC/USDT, or the beginning (6 characters or more) of an order or intent id"
    )


async def _explain(context: ToolContext, arguments: ExplainArguments) -> Facts:
    return await context.desk.explained(arguments.about.strip())


EXPLAIN_DECISION = Tool(
    "explain_decision",
    "Why the desk bought, sold, refused or left a symbol alone: the agents' last decisions on it with their reasons and the "
    "numbers they cited, what the gate said with every failed check, and the orders and fills that followed. Reasons are quoted.",
    ExplainArguments,
    Action.READ_RECORD,
    _explain,
)
