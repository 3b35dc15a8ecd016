"""The agents of an account: what each is for, what it may do and has used, its model, its budget, and its pause."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response

from api.http.dependencies import OnAccount, State, on_account
from api.http.etags import IfMatch, etag_of, require_match
from api.http.problems import NotFound
from api.schemas.agents import AgentModelIn, AgentOut, AgentsOut, PauseIn, PauseOut
from api.schemas.schedules import BudgetBody, BudgetOut
from api.state import ApiState
from graph.control.agent_desk import AgentDesk
from graph.control.pauses import Pauses
from trading_core.auth.agents import AGENT_ACTIONS
from trading_core.auth.permissions import Action
from trading_core.persistence.desk_records import AgentSettings, Budget, PauseKind

router = APIRouter(prefix="/accounts/{account}/agents", tags=["agents"])

Reader = Annotated[OnAccount, on_account(Action.READ_RISK)]
Controller = Annotated[OnAccount, on_account(Action.CONTROL_RISK)]
Name = Annotated[str, Path(max_length=40, description="The agent's name.", examples=["signal"])]


@router.get("", summary="List an account's agents")
async def list_agents(state: State, on: Reader) -> AgentsOut:
    """In the order of a cycle."""
    return AgentsOut(
        items=[AgentOut.of(view) for view in await AgentDesk(state.database, state.clock).all(on.who, on.account_id)]
    )


@router.get("/{agent}", summary="Read an agent")
async def get_agent(state: State, response: Response, on: Reader, agent: Name) -> AgentOut:
    """Its ETag is of what people set for it: its model and its budget."""
    return await _told(state, on, response, agent)


@router.put("/{agent}/budget", summary="Set an agent's budget")
async def set_budget(
    state: State, response: Response, on: Controller, agent: Name, body: BudgetBody, if_match: IfMatch = None
) -> AgentOut:
    """What it may use in a day (UTC) in all runs of the account. Beyond that it abstains until midnight."""
    _known(agent)
    desk = AgentDesk(state.database, state.clock)
    await desk.set_budget(on.who, on.account_id, agent, body.record(), lambda before: require_match(if_match, _etag(before)))
    return await _told(state, on, response, agent)


@router.put("/{agent}/model", summary="Choose an agent's model")
async def set_model(
    state: State, response: Response, on: Controller, agent: Name, body: AgentModelIn, if_match: IfMatch = None
) -> AgentOut:
    """The embedded rules, which need no model and cost nothing, or the session's own model; from its next question on."""
    _known(agent)
    desk = AgentDesk(state.database, state.clock)
    await desk.set_model(on.who, on.account_id, agent, body.model, lambda before: require_match(if_match, _etag(before)))
    return await _told(state, on, response, agent)


@router.post("/{agent}/pause", summary="Pause an agent")
async def pause_agent(state: State, on: Controller, agent: Name, body: PauseIn) -> PauseOut:
    """It is not asked and abstains, with this reason on record, until it is resumed. Without the risk or execution agent nothing
    is bought; exits go on."""
    _known(agent)
    return PauseOut.of(await Pauses(state.database, state.clock).put(on.who, on.account_id, PauseKind.AGENT, agent, body.reason))


@router.post("/{agent}/resume", summary="Resume an agent")
async def resume_agent(state: State, on: Controller, agent: Name) -> PauseOut:
    """The answer is the pause that was lifted."""
    _known(agent)
    return PauseOut.of(await Pauses(state.database, state.clock).lift(on.who, on.account_id, PauseKind.AGENT, agent))


def _known(agent: str) -> None:
    if agent not in AGENT_ACTIONS:
        raise NotFound(
            f"no agent is called {agent!r}", not_done="Nothing was done", next_step=f"They are {', '.join(AGENT_ACTIONS)}"
        )


def _etag(settings: AgentSettings | None) -> str:
    """Of what is set, not of what is used: that changes with every call."""
    budget, model = (Budget(), None) if settings is None else (settings.budget, settings.model)
    return f'{etag_of(BudgetOut.of(budget))[:-1]}-{model or "own"}"'


async def _told(state: ApiState, on: OnAccount, response: Response, agent: str) -> AgentOut:
    _known(agent)
    view = await AgentDesk(state.database, state.clock).get(on.who, on.account_id, agent)
    response.headers["ETag"] = _etag(view.settings)
    return AgentOut.of(view)
