"""The desk's own tools at this door: the same names, words, schemas and code as its agents have in a conversation."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from api.mcp.tools import Call, Offer, Result
from api.services.desks import desk_here
from graph.conversation.cards import Cards
from graph.conversation.facts import DeskFacts, look
from tools.base import Tool
from tools.context import ToolContext
from tools.proposals import PROPOSE_ORDER
from tools.registry import CHAT_TOOLS
from trading_core.auth.permissions import Action
from trading_core.persistence.desk_records import Proposal

# What agents of one cycle tell each other: outside of a cycle there is none. `explain_decision` tells it afterwards.
_OF_A_CYCLE = frozenset({"get_market_view", "get_proposals", "get_approved_orders"})
_PROPOSES = frozenset({Action.PROPOSE_ENTRY, Action.PROPOSE_EXIT})
_READS = frozenset(
    {
        Action.READ_MARKET,
        Action.READ_CHANNELS,
        Action.READ_PORTFOLIO,
        Action.READ_ORDERS,
        Action.READ_RISK,
        Action.READ_RECORD,
    }
)


def desk_tools() -> list[Offer]:
    """Every tool that answers outside of a cycle."""
    return [_offer(tool) for name, tool in CHAT_TOOLS.items() if name not in _OF_A_CYCLE]


def _offer(tool: Tool[Any]) -> Offer:
    proposes = tool is PROPOSE_ORDER

    async def run(call: Call, arguments: Mapping[str, object]) -> Result:
        return await _called(tool, call, arguments)

    return Offer(
        name=tool.name,
        title=tool.name.replace("_", " ").capitalize(),
        description=tool.description,
        schema=tool.arguments.model_json_schema(),
        needs=_PROPOSES if proposes else frozenset({tool.action}),
        run=run,
        read_only=not proposes,
        idempotent=not proposes,
    )


async def _called(tool: Tool[Any], call: Call, arguments: Mapping[str, object]) -> Result:
    """One call, over a look at the account and the markets as they are now. The tool itself never holds more than reading and
    proposing, whatever the caller may."""
    on = await call.on(tool.action)
    system = desk_here(call.state, on.account_id, "what this tool tells")
    view, run_id = await look(system), f"mcp-{secrets.token_hex(12)}"
    cards = Cards(system, on.who, run_id, None, _not_told)
    context = ToolContext(
        principal=replace(on.who, actions=on.who.actions & (_READS | _PROPOSES)),
        run_id=run_id,
        snapshot=view.snapshot,
        feed=system.feed,
        limits=system.desk.limits,
        record=system.record,
        computed=view.computed,
        operator=DeskFacts(system, view, cards),
    )
    evidence = await tool.call(context, dict(arguments))
    data = json.loads(evidence.as_text())
    if set(evidence.result) == {"error"}:
        return Result(data, text=str(evidence.result["error"]), failed=True)
    if (card := evidence.result.get("card")) is not None:
        async with call.state.database.reading() as uow:
            made = await uow.proposals.get(str(card))
        data["content_hash"] = made.content_hash if made is not None else ""
    return Result(data)


def _not_told(_: Proposal) -> None:
    """No run made it, so that no run tells of it: whoever asked has it as the answer."""
