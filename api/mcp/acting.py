"""A person's own hand on the desk: what the API's routes do, as tools. Each does what its route does, by the same code."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from api.http.pages import PageRequest
from api.live.sse import read_run
from api.mcp.tools import Call, Offer, Result, Run, typed
from api.routes import approvals, proposals, risk, runs
from api.schemas.approvals import AnswerBody, PendingApprovalOut
from api.schemas.common import Reason
from api.schemas.conversations import Confirmation
from api.schemas.risk import ChangeState
from api.schemas.runs import CycleBody, Symbols
from api.services.turns import require_answered
from api.state import ApiState
from trading_core.auth.permissions import Action, Principal
from trading_core.domain.intents import ApprovalState
from trading_core.persistence.desk_records import StoredEvent
from trading_core.persistence.records import RunKind

FOLLOWED_FOR = 20.0  # seconds that a call waits for a run it asked for; the run goes on whether or not anybody waits
_EVENTS = 200
_NOT_SHOWN = frozenset({"token", "tool_called", "tool_answered", "equity"})
_A_PERSON = "Call this only after a person has seen exactly this and agreed to it in so many words."

Id = Annotated[str, Field(pattern=r"^[!-~]{1,200}$")]


class Arguments(BaseModel):
    """Arguments of a tool that does something: a field that is not known may be a misspelled one, and is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class OfRun(Arguments):
    run_id: Id = Field(description="the run's id")
    after: int = Field(
        default=0, ge=0, lt=2**31, description="only events behind this one: `more_events_after` of the last answer"
    )


class OfIntent(Arguments):
    intent_id: Id = Field(description="the intent that is asked about, from list_approvals")
    reason: Reason


class Confirming(Arguments):
    proposal_id: Id = Field(description="`card` of the answer of propose_order")
    content_hash: str = Field(max_length=100, description="`content_hash` of the same answer: of the order that was shown")


class Halting(Arguments):
    reason: Reason


class Cycle(Arguments):
    symbols: Symbols = Field(default=[], description="the only ones to look at; empty for all of the account's session")


class Nothing(Arguments):
    """For tools that need none."""


async def _get_run(call: Call, arguments: OfRun) -> Result:
    return Result(await story(call, arguments.run_id, arguments.after))


async def _list_approvals(call: Call, _: Nothing) -> Result:
    on = await call.on(Action.READ_ORDERS)
    page = await approvals.list_approvals(
        call.state, on.who, PageRequest(), account=on.account_id, approval_state=[ApprovalState.PENDING]
    )
    return Result(page.model_dump(mode="json"))


def _answering(route: Callable[[ApiState, Principal, str, AnswerBody], Awaitable[PendingApprovalOut]]) -> Run:
    """A tool that answers an approval as one of its routes does."""

    async def answer(call: Call, arguments: OfIntent) -> Result:
        answered = await route(call.state, call.who, arguments.intent_id, AnswerBody(reason=arguments.reason))
        return Result(answered.model_dump(mode="json"))

    return typed(OfIntent, answer)


async def _confirm(call: Call, arguments: Confirming) -> Result:
    body = Confirmation(content_hash=arguments.content_hash)
    asked = await proposals.confirm_proposal(call.state, call.caller, Response(), arguments.proposal_id, body)
    return await _followed(call, asked.run_id, asked.note)


async def _halt(call: Call, arguments: Halting) -> Result:
    on = await call.on(Action.CONTROL_RISK)
    return Result((await risk.halt(call.state, on, ChangeState(reason=arguments.reason))).model_dump(mode="json"))


async def _run_cycle(call: Call, arguments: Cycle) -> Result:
    on = await call.on(Action.SUBMIT)
    await require_answered(call.state, on.account_id)
    asked = await runs.run_cycle(call.state, on, Response(), CycleBody(symbols=arguments.symbols))
    return await _followed(call, asked.run_id, asked.note)


async def _followed(call: Call, run_id: str, note: str) -> Result:
    """Tell of a run's steps until it is over, waits for a person, or has taken long enough."""
    if not note:
        await call.state.runs.wait(run_id, FOLLOWED_FOR)
    return Result({**await story(call, run_id), **({"note": note} if note else {})})


async def story(call: Call, run_id: str, after: int = 0) -> Mapping[str, object]:
    """How a run stands, and what it told; what was said, where it is a turn of a conversation.

    Args:
        after: the sequence behind which its events are wanted.
    """
    detail = await runs.get_run(call.state, call.caller, run_id)
    told: dict[str, object] = {"run": detail.run.model_dump(mode="json"), "result": detail.result}
    if detail.waiting:
        told["waiting_for_approval"] = [intent.model_dump(mode="json") for intent in detail.waiting]
    if detail.run.kind is RunKind.CONVERSATION:
        told["answers"] = await answers(call, detail.run.conversation or "", run_id)
        return told
    found, _ = await read_run(call.state.database, run_id, after, _EVENTS + 1)
    events = found[:_EVENTS]
    told["events"] = [_event(event) for event in events if event.kind not in _NOT_SHOWN]
    if len(found) > len(events):
        told["more_events_after"] = events[-1].sequence  # get_run reads on from there
    return told


async def answers(call: Call, conversation: str, run_id: str) -> list[dict[str, object]]:
    """What each agent said in a turn, with the evidence that it stands on."""
    async with call.state.database.reading() as uow:
        said = [one for one in await uow.conversations.last_messages(conversation, 100) if one.run_id == run_id and one.agent]
    return [
        {"agent": one.agent, "content": one.content, **{k: one.data.get(k) for k in ("grounded", "evidence", "proposals")}}
        for one in said
    ]


def _event(event: StoredEvent) -> dict[str, object]:
    return {"kind": event.kind, "data": dict(event.data)}


def acting_tools() -> list[Offer]:
    """What a person can do beside asking."""
    return [
        Offer(
            name="confirm_order",
            title="Confirm an order",
            description=f"Place the order of a card that propose_order made, through the gate, which may still deny it. "
            f"{_A_PERSON} Confirmed again it is the same order.",
            schema=Confirming.model_json_schema(),
            needs=frozenset({Action.SUBMIT}),
            run=typed(Confirming, _confirm),
            on_account=False,
            destructive=True,
            idempotent=True,
        ),
        Offer(
            name="list_approvals",
            title="List approvals",
            description="Orders that wait for a person's yes or no: the exact order, who proposed it, the gate's checks, the "
            "price it was asked at and the price now, and how many seconds are left.",
            schema=Nothing.model_json_schema(),
            needs=frozenset({Action.READ_ORDERS}),
            run=typed(Nothing, _list_approvals),
            read_only=True,
            idempotent=True,
        ),
        Offer(
            name="approve",
            title="Approve an order",
            description=f"Say yes to an order that waits for approval. {_A_PERSON} The gate is asked again before it is sent.",
            schema=OfIntent.model_json_schema(),
            needs=frozenset({Action.APPROVE}),
            run=_answering(approvals.approve),
            on_account=False,
            destructive=True,
        ),
        Offer(
            name="reject",
            title="Reject an order",
            description=f"Say no to an order that waits for approval. Nothing is sent. {_A_PERSON}",
            schema=OfIntent.model_json_schema(),
            needs=frozenset({Action.APPROVE}),
            run=_answering(approvals.reject),
            on_account=False,
            destructive=True,
        ),
        Offer(
            name="halt",
            title="Stop trading",
            description="Nothing passes the gate any more until a person resumes. Orders that work at the venue go on, and "
            f"protective stops are still placed. {_A_PERSON}",
            schema=Halting.model_json_schema(),
            needs=frozenset({Action.CONTROL_RISK}),
            run=typed(Halting, _halt),
            destructive=True,
            idempotent=True,
        ),
        Offer(
            name="run_cycle",
            title="Run a cycle",
            description="Have the desk look at the market now, decide, and trade within its limits. The answer is how the run "
            f"stands after {FOLLOWED_FOR:.0f} s at most; get_run tells the rest. {_A_PERSON}",
            schema=Cycle.model_json_schema(),
            needs=frozenset({Action.SUBMIT}),
            run=typed(Cycle, _run_cycle),
            destructive=True,
        ),
        Offer(
            name="get_run",
            title="Read a run",
            description="How a cycle, an order or a question stands: its state, what it waits for, what it told and came to. "
            f"Up to {_EVENTS} events at once: where there is `more_events_after`, call again with it as `after`.",
            schema=OfRun.model_json_schema(),
            needs=frozenset({Action.READ_ORDERS}),
            run=typed(OfRun, _get_run),
            on_account=False,
            read_only=True,
            idempotent=True,
        ),
    ]
