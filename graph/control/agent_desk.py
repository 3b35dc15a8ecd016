"""The agents of an account as people see and set them: what each is for, what it has used today, its model and its budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from agents.roster import ROSTER
from agents.spec import AgentName
from graph.control.budgets import Spent, check_budget, day_of, session_of, spent_by_agent
from graph.control.pauses import Paused
from tools.registry import TOOLS
from trading_core.audit.entry import AuditAction, AuditEntry, SubjectKind
from trading_core.auth.agents import AGENT_ACTIONS
from trading_core.auth.permissions import Action, Principal
from trading_core.domain.clock import Clock
from trading_core.domain.errors import InvalidInput
from trading_core.persistence.desk_records import AgentSettings, Budget, Pause
from trading_core.persistence.session import Database
from trading_core.persistence.unit_of_work import UnitOfWork

RULES = "rules"

PURPOSES: Mapping[AgentName, str] = MappingProxyType(
    {
        "market_analysis": "Turns prices, indicators and readings of one symbol into a view: trend, regime, levels, confidence.",
        "signal": "Turns a view into an entry or an exit with the level at which it is wrong, or into neither.",
        "risk": "Gives each signal its size, or refuses it.",
        "execution": "Chooses how an approved order is worked, and whether now.",
        "rebalancing": "Says what weight each holding should have, against turnover and fees.",
    }
)


@dataclass(frozen=True, slots=True)
class AgentView:
    """One agent of an account.

    Attributes:
        model: that answers for it: `rules`, or the session's own.
        session_model: the session's own; None before the account's first session.
        tools: it may call, each with the action that its principal needs.
        calls: of its model, today.
    """

    name: AgentName
    purpose: str
    model: str | None
    session_model: str | None
    tools: Mapping[str, Action]
    actions: frozenset[Action]
    prompt_hash: str
    calls: int
    spent: Spent
    budget: Budget
    paused: Pause | None
    settings: AgentSettings | None


class AgentDesk:
    """Every method raises NotPermitted when the principal may not do it on the account."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def all(self, who: Principal, account_id: str) -> tuple[AgentView, ...]:
        """The agents in the order of a cycle."""
        who.require(Action.READ_RISK, account_id)
        async with self._database.reading() as uow:
            return tuple([await self._view(uow, account_id, name) for name in ROSTER])

    async def get(self, who: Principal, account_id: str, name: str) -> AgentView:
        """One agent.

        Raises:
            InvalidInput: none is called so.
        """
        who.require(Action.READ_RISK, account_id)
        async with self._database.reading() as uow:
            return await self._view(uow, account_id, known_agent(name))

    async def set_budget(
        self, who: Principal, account_id: str, name: str, budget: Budget, look: Callable[[AgentSettings], None] | None = None
    ) -> None:
        """What it may use in a day, in all runs of the account; beyond that it abstains.

        Args:
            look: is shown what is changed. When it raises, nothing is: nobody else can come between the two.

        Raises:
            InvalidInput: the budget cannot be kept.
        """
        if budget.orders is not None:
            raise InvalidInput(
                "agents have no budget of orders", not_done="Nothing was changed", next_step="Set one for a schedule, or a limit"
            )
        async with self._database.transaction() as uow:
            before = await self._settings(uow, who, account_id, name)
            if look is not None:
                look(before)
            await check_budget(uow, account_id, budget)
            await self._put(uow, before, replace(before, budget=budget, by=who.name, at=self._clock.now()))

    async def set_model(
        self,
        who: Principal,
        account_id: str,
        name: str,
        model: Literal["rules"] | None,
        look: Callable[[AgentSettings], None] | None = None,
    ) -> None:
        """Have the rules model answer for it from its next question on, or the session's own (None); `look` as for a budget."""
        async with self._database.transaction() as uow:
            before = await self._settings(uow, who, account_id, name)
            if look is not None:
                look(before)
            await self._put(uow, before, replace(before, model=model, by=who.name, at=self._clock.now()))

    async def _settings(self, uow: UnitOfWork, who: Principal, account_id: str, name: str) -> AgentSettings:
        who.require(Action.CONTROL_RISK, account_id)
        agent = known_agent(name)
        await uow.claims.take(account_id)  # of two who change it at once, the second sees what the first did
        found = await uow.agent_settings.get(account_id, agent)
        return found or AgentSettings(account_id, agent, who.name, self._clock.now())

    @staticmethod
    async def _put(uow: UnitOfWork, before: AgentSettings, after: AgentSettings) -> None:
        if replace(after, by=before.by, at=before.at) == before:
            return
        await uow.agent_settings.put(after)
        subject = SubjectKind.AGENT, f"{after.account_id}:{after.agent}"
        was, is_now = ({"model": each.model, "budget": each.budget} for each in (before, after))
        await uow.audit.append(AuditEntry(after.at, after.by, AuditAction.AGENT_CHANGED, *subject, was, is_now))

    async def _view(self, uow: UnitOfWork, account_id: str, name: AgentName) -> AgentView:
        now, spec = self._clock.now(), ROSTER[name]
        settings = await uow.agent_settings.get(account_id, name)
        calls = await uow.decisions.calls_since(account_id, day_of(now))
        session = await session_of(uow, account_id)
        model = session.config.get("model") if session else None
        session_model = None if session is None else str(model.get("model", RULES)) if isinstance(model, Mapping) else RULES
        return AgentView(
            name=name,
            purpose=PURPOSES[name],
            model=settings.model if settings and settings.model else session_model,
            session_model=session_model,
            tools={tool: TOOLS[tool].action for tool in dict.fromkeys((*spec.opening, *spec.tools))},
            actions=AGENT_ACTIONS[name],
            prompt_hash=spec.prompt_hash,
            calls=calls.get(name, 0),
            spent=await spent_by_agent(uow, account_id, name, now),
            budget=settings.budget if settings else Budget(),
            paused=(await Paused.of(uow, account_id)).agent(name),
            settings=settings,
        )


def known_agent(name: str) -> AgentName:
    """An agent's name.

    Raises:
        InvalidInput: none is called so.
    """
    if name not in ROSTER:
        raise InvalidInput(f"no agent is called {name!r}", not_done="Nothing was done", next_step=f"They are {', '.join(ROSTER)}")
    return name
