"""The conversation graph: route the question, ask each agent it belongs to side by side, and close the turn."""

from __future__ import annotations

from typing import Any, cast

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime
from langgraph.types import Send

from graph.conversation.answering import answer
from graph.conversation.memory import spoke_last
from graph.conversation.routing import route
from graph.conversation.state import AgentTask, TurnContext, TurnState
from graph.conversation.titles import title_of

TurnGraph = CompiledStateGraph[TurnState, TurnContext, TurnState, TurnState]


async def choose(state: TurnState, runtime: Runtime[TurnContext]) -> TurnState:
    """Without a model: the same question in the same conversation always goes to the same agents."""
    del state
    ctx = runtime.context
    return {"agents": list(route(ctx.question.content, spoke_last(ctx.before)))}


def to_agents(state: TurnState) -> list[Send]:
    return [Send("answer", AgentTask(agent=name)) for name in state["agents"]]


async def ask(task: AgentTask, runtime: Runtime[TurnContext]) -> TurnState:
    ctx, name = runtime.context, task["agent"]
    if name not in ctx.answered:  # its answer is on record: it is not asked again
        await answer(ctx, name)
    return {}


async def conclude(state: TurnState, runtime: Runtime[TurnContext]) -> TurnState:
    """Name a conversation that has no title yet after its first question."""
    del state
    ctx = runtime.context
    async with ctx.system.database.transaction() as uow:
        conversation = await uow.conversations.get(ctx.question.conversation_id)
        if conversation is not None and not conversation.title:
            await uow.conversations.rename(conversation.id, title_of(ctx.question.content), ctx.clock.now())
    return {}


def build() -> TurnGraph:
    """The compiled graph. It needs no checkpoints: each answer is on record when its branch ends."""
    graph = StateGraph(TurnState, context_schema=TurnContext)
    graph.add_node("choose", cast(Any, choose))
    graph.add_node("answer", cast(Any, ask))
    graph.add_node("conclude", cast(Any, conclude))
    graph.add_edge(START, "choose")
    graph.add_conditional_edges("choose", to_agents, ["answer"])
    graph.add_edge("answer", "conclude")
    graph.add_edge("conclude", END)
    return graph.compile(name="conversation")
