"""From what stands on the command line to a replay: which runs, what decides instead, and what that may spend."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from api.commands.settings import effective_limits, model_settings, stored_config
from api.spending import budget_of, require_budget
from trading_core.domain.errors import ConfigurationError, RunError

if TYPE_CHECKING:
    from agents.models.spec import ModelSettings
    from evals.estimate import Estimate
    from evals.meter import Budget, Spent
    from evals.prices import Price
    from evals.replay import Alternative, Replayed
    from graph.config import SessionConfig
    from trading_core.persistence.records import RunRecord, SessionRecord

_MOST_OUTPUT = 2000  # tokens of one answer, where neither the command nor the session says

_RECENT = 1_000  # runs of a ledger among which the last that decided is looked for: conversations are runs, too
_OTHER_KINDS = {"conversation": "it is a conversation", "order": "it is an operator's order"}


@dataclass(frozen=True, slots=True)
class Choices:
    """The options of `replay`, as they were typed; None for one that was not given."""

    run_id: str | None
    since: datetime | None
    model: str | None
    base_url: str | None
    budget: str | None
    budget_tokens: int | None
    max_tokens: int | None
    prices: Path | None
    prompts: Path | None
    limits: Path | None
    overrides: list[str]
    horizon: int


@dataclass(frozen=True, slots=True)
class Ended:
    """What came of a replay.

    Attributes:
        left: runs that the budget did not reach; those are not in `runs`.
        spent: on calls of this replay, and at which `price`; None when that is not known.
    """

    runs: list[Replayed]
    left: int
    spent: Spent
    price: Price | None


async def replay_runs(home: Path, location: str | None, choices: Choices, *, tell_estimate: Callable[[Estimate], None]) -> Ended:
    """Decide again what was chosen.

    Raises:
        RunError: there is no such run.
        ConfigurationError: the model cannot be called, or calls that are paid for have no budget. Nothing was asked.
    """
    from evals.meter import Spent
    from evals.paid_model import PaidModel
    from evals.read_only import open_read_only
    from evals.recorded import History
    from evals.replay import replay
    from evals.replay_estimate import estimate_replay
    from evals.replay_totals import chosen
    from graph.markets import make_feed

    budget = budget_of(choices.budget, choices.budget_tokens)
    where, session, run_ids = await _find(home, location, choices.run_id)
    config = stored_config(session.config)
    async with AsyncExitStack() as stack:
        alternative = await _alternative(home, config, choices, budget, stack)
        ledger = await stack.enter_async_context(await open_read_only(where))
        feed = make_feed(config)
        stack.push_async_callback(feed.close)
        history = await History.read(ledger, session.id, config, feed)
        ids = chosen(history, choices.since, run_ids)
        paid = alternative.model if isinstance(alternative.model, PaidModel) else None
        if paid is not None:
            found = await estimate_replay(history, ids, alternative, feed, paid.most_output)
            tell_estimate(found)
            require_budget(alternative.model_name, _settings(config, choices).endpoint, alternative.price, budget, found)
        runs: list[Replayed] = []
        async with aclosing(replay(history, ids, alternative, feed, horizon=choices.horizon)) as decided:
            async for one in decided:
                if paid is not None and paid.meter.is_empty:
                    break  # what it could not ask for says nothing of the model
                runs.append(one)
        spent = Spent() if paid is None else paid.meter.spent
        return Ended(runs, len(ids) - len(runs), spent, alternative.price)


async def _find(home: Path, location: str | None, run_id: str | None) -> tuple[Path | str, SessionRecord, list[str]]:
    """The ledger, the session, and the run that is named; without a name the session whose run decided last.

    Raises:
        RunError: there is none, more than one run's id begins so, or that run decided nothing.
        ConfigurationError: there is none in the ledgers that can be read, and others cannot.
    """
    from api.ledgers import LAST
    from evals.read_only import open_read_only
    from graph.folders import Folders

    named: dict[str, tuple[Path | str, SessionRecord, RunRecord]] = {}
    newest, unread = run_id is None or run_id == LAST, list[ConfigurationError]()
    for folders in Folders.all_in(home, location):
        try:
            opened = await open_read_only(folders.ledger)
        except ConfigurationError as error:  # of an earlier version: it matters only if the run is nowhere else
            unread.append(error)
            continue
        async with opened as ledger, ledger.reading() as uow:
            for run in await (uow.runs.recent(_RECENT) if newest else uow.runs.beginning(run_id or "", 3)):
                if newest and run.snapshot_hash is None:
                    continue
                session = await uow.sessions.get(run.session_id) if run.session_id else None
                if session is not None and newest:
                    return folders.ledger, session, [run.id] if run_id else []
                if session is not None:
                    named[run.id] = folders.ledger, session, run
    if unread and not named:
        raise unread[0]
    if newest:
        raise _nothing("there is no run on record that decided something", "`algotrendy run` makes one")
    if run_id not in named and len(named) != 1:
        what = f"{len(named)} runs begin with {run_id!r}" if named else f"there is no run {run_id!r} on record"
        raise _nothing(what, "`algotrendy runs` lists them")
    where, session, run = named[run_id] if run_id in named else next(iter(named.values()))
    if run.snapshot_hash is None:
        why = _OTHER_KINDS.get(run.kind.value, "it ended before it knew anything")
        raise _nothing(f"run {run.id!r} decided nothing: {why}", "`algotrendy runs` lists them")
    return where, session, [run.id]


def _nothing(what: str, next_step: str) -> RunError:
    return RunError(what, not_done="Nothing was replayed", next_step=next_step)


async def _alternative(home: Path, config: SessionConfig, choices: Choices, budget: Budget, stack: AsyncExitStack) -> Alternative:
    from agents.models.openai_compatible import build, describe, http_pool
    from agents.models.rules import RULES_MODEL_NAME, RulesModel
    from api.endpoint import check_endpoint
    from evals.meter import Meter, check_priced
    from evals.paid_model import PaidModel
    from evals.prices import load_prices, price_of
    from evals.prompts import load_roster
    from evals.replay import Alternative
    from graph.record import LedgerAnswers
    from trading_core.domain.clock import SystemClock
    from trading_core.persistence.session import Database

    roster = load_roster(choices.prompts)
    changed = choices.limits is not None or choices.overrides
    limits = effective_limits(choices.limits, choices.overrides, simulated=config.simulated).book if changed else None
    settings = _settings(config, choices)
    if settings.provider == "rules":
        return Alternative(RulesModel(), RULES_MODEL_NAME, roster, limits)
    price = price_of(settings, load_prices(choices.prices))
    check_priced(settings.model, price, budget)
    check_endpoint(settings)
    most_output = choices.max_tokens or settings.max_tokens or _MOST_OUTPUT
    # Every attempt is paid for, so every attempt is counted: the client makes none of its own.
    counted = settings.model_copy(update={"max_tokens": most_output, "max_retries": 0})
    chat = build(counted, await stack.enter_async_context(http_pool()))
    # Beside the ledger, which is not touched: a replay that was interrupted need not pay twice.
    answers = await stack.enter_async_context(await Database.open(home / "replays.db"))
    kept = LedgerAnswers(answers, SystemClock())
    model = PaidModel(inner=chat, meter=Meter(price, budget), most_output=most_output)
    return Alternative(model, describe(chat), roster, limits, price, kept, keeps_rules=choices.model is None)


def _settings(config: SessionConfig, choices: Choices) -> ModelSettings:
    return config.model if choices.model is None else model_settings(choices.model, choices.base_url)
