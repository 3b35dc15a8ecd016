"""An order on a card: the only way in which a conversation comes near a trade, and it sends nothing."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from tools.base import Tool
from tools.context import Facts, ToolContext
from trading_core.auth.permissions import Action

Amount = Annotated[str, Field(max_length=40)] | float


class ProposeArguments(BaseModel):
    symbol: str = Field(max_length=30, description="unified symbol of this run, such as BTC/USDT")
    side: Literal["buy", "sell"]
    quantity: Amount | None = Field(default=None, description="in the base asset; give one of quantity, notional and fraction")
    notional: Amount | None = Field(default=None, description="in the quote currency, such as 500 USDT")
    fraction: Amount | None = Field(default=None, description="of what is held, 0 to 1; for sales only")
    type: Literal["market", "limit"] = "market"
    limit_price: Amount | None = Field(default=None, description="for a limit order, quote per base")
    stop_price: Amount | None = Field(default=None, description="where a buy is given up, below its price; every buy needs one")
    take_profit: Amount | None = Field(default=None, description="where a buy is sold with profit, above its price")
    reason: str = Field(default="", max_length=300, description="the operator's own wish in a few words")


async def _propose(context: ToolContext, arguments: ProposeArguments) -> Facts:
    context.principal.require(Action.PROPOSE_ENTRY)
    context.principal.require(Action.PROPOSE_EXIT)
    wanted = arguments.model_dump(exclude={"reason"}, exclude_none=True)
    context.snapshot.known(arguments.symbol)
    amounts = {name: str(value) if isinstance(value, float) else value for name, value in wanted.items()}
    return await context.desk.propose(amounts, arguments.reason)


PROPOSE_ORDER = Tool(
    "propose_order",
    "Put an order that the operator asked for on a card. Nothing is sent: the operator has to confirm the card, and the gate is "
    "asked again then. The result shows exactly what is on the card and what the gate says to it now.",
    ProposeArguments,
    Action.PROPOSE_EXIT,
    _propose,
)
