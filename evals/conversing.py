"""An operator asks in a scenario's world: the conversation graph as it is everywhere, its thread, its cards and its record."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from agents.chat_roster import CHAT_ROSTER
from agents.spec import AgentName
from evals.prices import Price
from evals.questions import Question
from evals.trajectory import Asked, Card, Talk, ToolUse
from graph.conversation.turn import take_turn
from graph.runs.desks import Desks
from graph.runs.event_log import EventLog
from graph.runs.manager import RunManager
from graph.system import TradingSystem
from tools.registry import CHAT_TOOLS
from trading_core.auth.agents import runner
from trading_core.auth.permissions import Action, Principal
from trading_core.auth.roles import ROLE_ACTIONS, Role
from trading_core.domain.clock import Clock
from trading_core.domain.errors import AlgoTrendyError, RunError
from trading_core.domain.money import ZERO
from trading_core.persistence.desk_records import Author, Conversation, Message, Proposal, StoredEvent
from trading_core.persistence.records import RunState, RunTrail
from trading_core.persistence.unit_of_work import UnitOfWork
from trading_core.risk.state import fraction_lost

RUN = "question"
_MANY = 10_000
_PROPOSES = frozenset({Action.PROPOSE_ENTRY, Action.PROPOSE_EXIT})


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of a question. `error` is why the turn broke off, empty when it did not."""

    trail: RunTrail
    talk: Talk
    asked: tuple[Asked, ...]
    tools: tuple[ToolUse, ...]
    error: str = ""


def asker(role: Role, account_id: str) -> Principal:
    """The operator who asks, with every right of the role on the account and on no other."""
    return Principal(f"user:{role.value}", ROLE_ACTIONS[role], frozenset({account_id}), role=role.value)


async def converse(system: TradingSystem, question: Question, prices: dict[str, Decimal], price: Price | None) -> Answered:
    """Ask, and read back what was answered.

    Args:
        prices: what everything trades at now.
        price: of the model's tokens; None when it is not known.
    """
    database, clock, account_id = system.database, system.clock, system.desk.account_id
    who, error = asker(question.asks, account_id), ""
    facts = await _facts(system, prices)
    async with database.transaction() as uow:
        conversation = await _thread(uow, question, who, account_id, clock)
        before = len(await uow.orders.newest(account_id, _MANY))
    log = EventLog(database, clock)
    async with log.open():
        await RunManager(database, clock, log, Desks(), "eval").request_turn(who, conversation, question.text, run_id=RUN)
        async with database.transaction() as uow:
            record = await uow.runs.begin(RUN, clock.now(), clock.now(), session_id=system.config.session_id)
            request = await uow.run_requests.get(RUN)
        if request is None:
            raise RunError(f"the request of run {RUN!r} is not on record", not_done="Nothing was asked")
        try:
            await take_turn(system, request, record, log, clock, who)
        except AlgoTrendyError as broken:
            error = str(broken)
        await log.flush()
    async with database.transaction() as uow:
        await uow.runs.set_state(RUN, RunState.FAILED if error else RunState.DONE, at=clock.now(), error=error)
    async with database.reading() as uow:
        said = [message for message in await uow.conversations.messages(conversation.id, limit=1_000) if _is_answer(message)]
        # Cards of anybody: one that was made for somebody else is the worst of them.
        cards = [card for card in await uow.proposals.of_conversation(conversation.id) if card.run_id == RUN]
        orders = len(await uow.orders.newest(account_id, _MANY)) - before
        trail, events = await uow.runs.whole(RUN), await uow.events.of_run(RUN, 0, _MANY)
    return Answered(
        trail=trail,
        talk=Talk(who.name, who.actions >= _PROPOSES, tuple(_card(card, prices) for card in cards), facts, orders),
        asked=tuple(_asked(message, price) for message in said),
        tools=tuple(_used(events, who)),
        error=error,
    )


async def _thread(uow: UnitOfWork, question: Question, who: Principal, account_id: str, clock: Clock) -> Conversation:
    """The conversation as it stands before the question, and those of others."""
    now = clock.now()
    mine = Conversation(f"of-{who.name}", account_id, who.name, question.title, now, now)
    await uow.conversations.add(mine)
    turn = 0
    for line in question.thread:
        turn += line.by == "operator"
        author, agent = (Author.OPERATOR, "") if line.by == "operator" else (Author.AGENT, line.by)
        await uow.conversations.say(Message(mine.id, 0, f"earlier-{turn}", author, agent, line.text, {}, now))
    for number, one in enumerate(question.overheard):
        other = Conversation(f"other-{number}", account_id, f"user:{one.user}", "", now, now)
        await uow.conversations.add(other)
        await uow.conversations.say(Message(other.id, 0, f"other-{number}", Author.OPERATOR, "", one.text, {}, now))
    return mine


async def _facts(system: TradingSystem, prices: dict[str, Decimal]) -> dict[str, Decimal]:
    """Figures from the ledger's own books and the market, read past every tool."""
    account_id = system.desk.account_id
    view = await system.desk.account(runner(account_id))
    portfolio, held, limits = view.portfolio, view.portfolio.held(), system.desk.limits
    found = {f"price:{symbol}": price for symbol, price in prices.items()}
    found["cash"] = portfolio.cash
    found |= {f"quantity:{symbol}": position.quantity for symbol, position in held.items()}
    for name, value in limits.model_dump().items():
        if isinstance(value, Decimal | int) and not isinstance(value, bool):
            found[f"limit:{name}"] = Decimal(value)
    if not held.keys() <= prices.keys():
        return found
    equity, values = portfolio.equity(prices), {symbol: held[symbol].value(prices[symbol]) for symbol in held}
    found |= {
        "equity": equity,
        "profit": equity - portfolio.paid_in,
        "drawdown": fraction_lost(view.risk.peak_equity, equity),
        "loss_today": fraction_lost(view.risk.day_start_equity, equity),
    }
    found |= {f"value:{symbol}": value for symbol, value in values.items()}
    if equity > 0:
        found["exposure"] = sum(values.values(), ZERO) / equity
        found |= {f"weight:{symbol}": value / equity for symbol, value in values.items()}
    return found


def _is_answer(message: Message) -> bool:
    return message.run_id == RUN and message.author is Author.AGENT


def _asked(message: Message, price: Price | None) -> Asked:
    data, usage = message.data, message.data.get("usage")
    spent = usage if isinstance(usage, dict) else {}
    failed, problems = str(data.get("failed", "")), data.get("problems", ())
    read, wrote = int(spent.get("input_tokens", 0)), int(spent.get("output_tokens", 0))
    return Asked(
        run_id=RUN,
        agent=message.agent,
        subject="",
        answer=None if failed else {"words": message.content},
        abstained=bool(failed),
        why=failed,
        problems=tuple(str(one) for one in problems) if isinstance(problems, Sequence) else (),
        invalid=0,
        model_calls=int(spent.get("model_calls", 0)),
        input_tokens=read,
        output_tokens=wrote,
        seconds=float(spent.get("seconds", 0.0)),
        cost=None if price is None else price.of(read, wrote),
    )


def _card(proposal: Proposal, prices: dict[str, Decimal]) -> Card:
    ticket, preview = proposal.ticket, proposal.preview
    symbol, codes = str(ticket["symbol"]), preview.get("reason_codes", ())
    quantity, price = _amount(preview.get("quantity")), prices.get(symbol)
    return Card(
        owner=proposal.owner,
        symbol=symbol,
        side=str(ticket["side"]),
        quantity=quantity,
        worth=None if quantity is None or price is None else quantity * price,
        stop=_amount(ticket.get("stop_price")),
        gate=str(preview.get("verdict", "")),
        failed=tuple(str(code) for code in codes) if isinstance(codes, Sequence) else (),
    )


def _amount(value: object) -> Decimal | None:
    return None if value is None else Decimal(str(value))


def _used(events: Iterable[StoredEvent], who: Principal) -> Iterator[ToolUse]:
    """Every call as it was told, with what came of it. A call that nothing answers is one of a tool that there is not.

    The desk's own moves are told before any of them is answered, and a model hears of nothing before that.
    """
    called, failed = list[tuple[StoredEvent, bool]](), dict[tuple[str, str, int], bool]()
    answered, nth = set[str](), dict[tuple[str, str], int]()
    for event in events:
        agent, call = str(event.data.get("agent", "")), str(event.data.get("call", ""))
        if event.kind == "tool_called":
            called.append((event, agent not in answered and event.data.get("tool") in CHAT_ROSTER[_name(agent)].opening))
        elif event.kind == "tool_answered":
            answered.add(agent)
            result = event.data.get("result")
            number = nth[agent, call] = nth.get((agent, call), 0) + 1
            failed[agent, call, number] = isinstance(result, dict) and "error" in result
    seen = dict[tuple[str, str], int]()
    for event, opening in called:
        agent, call, tool = (str(event.data.get(key, "")) for key in ("agent", "call", "tool"))
        number = seen[agent, call] = seen.get((agent, call), 0) + 1
        arguments = event.data.get("arguments")
        yield ToolUse(
            run_id=RUN,
            agent=agent,
            subject="",
            tool=tool,
            arguments=arguments if isinstance(arguments, dict) else {},
            opening=opening,
            failed=failed.get((agent, call, number), True),
            refused=not _may(who, agent, tool),
        )


def _name(agent: str) -> AgentName:
    return next(name for name in CHAT_ROSTER if name == agent)


def _may(who: Principal, agent: str, tool: str) -> bool:
    """Whether who asks may have what this agent's tool tells; nobody is refused what there is not."""
    if tool not in CHAT_TOOLS:
        return True
    rights = CHAT_ROSTER[_name(agent)].principal(who).actions
    return rights >= _PROPOSES if tool == "propose_order" else CHAT_TOOLS[tool].action in rights
