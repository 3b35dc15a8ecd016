"""`replay`: recorded runs decided again under another model, other prompts or other limits. The ledger is only read."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.commands.options import AsJson, Limit, Limits
from api.commands.settings import effective_limits, instant, model_settings, stored_config
from api.home import HomeContext, Ledger

if TYPE_CHECKING:
    from evals.replay import Alternative, Replayed
    from graph.config import SessionConfig
    from trading_core.domain.errors import RunError
    from trading_core.persistence.records import RunRecord, SessionRecord

_RECENT = 1_000  # runs of a ledger among which the last that decided is looked for: conversations are runs, too
_OTHER_KINDS = {"conversation": "it is a conversation", "order": "it is an operator's order"}


@dataclass(frozen=True, slots=True)
class Choices:
    """The options, as they were typed."""

    model: str | None
    base_url: str | None
    prompts: Path | None
    limits: Path | None
    overrides: list[str]


def replay(
    ctx: HomeContext,
    run_id: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="Id of a run, the beginning of one, or `last`; or give --since.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Every run from then on of the session whose run decided last.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Another model: rules or openai:NAME. Default: the session's own.")] = None,
    base_url: Annotated[str | None, typer.Option(metavar="URL", help="An OpenAI-compatible endpoint, up to /v1.")] = None,
    prompts: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Other prompts: signal.md, risk.md, shared.md and so on.")
    ] = None,
    limits: Limits = None,
    limit: Limit = None,
    horizon: Annotated[int, typer.Option(min=1, max=1000, metavar="N", help="Tell what followed over so many bars.")] = 24,
    database: Ledger = None,
    as_json: AsJson = False,
) -> None:
    """Decide recorded runs again from what they knew, and tell what would have been different. Nothing on record is touched."""
    from api.console.replay import show_replay
    from api.console.screen import output
    from trading_core.domain.errors import InvalidInput

    if (run_id is None) is (since is None):
        raise InvalidInput("give either a run or --since", not_done="Nothing was replayed")
    choices = Choices(model, base_url, prompts, limits, limit or [])
    found = asyncio.run(_replay(ctx.obj, database, run_id, instant(since, "--since"), choices, horizon))
    if as_json:
        typer.echo(json.dumps(_document(found), indent=2))
        return
    show_replay(output(), found, horizon)


async def _replay(
    home: Path, location: str | None, run_id: str | None, since: datetime | None, choices: Choices, horizon: int
) -> list[Replayed]:
    from evals.read_only import open_read_only
    from evals.recorded import History
    from evals.replay import replay as decide_again
    from evals.replay_totals import chosen
    from graph.markets import make_feed

    where, session, run_ids = await _find(home, location, run_id)
    config = stored_config(session.config)
    async with AsyncExitStack() as stack:
        alternative = await _alternative(home, config, choices, stack)
        ledger = await stack.enter_async_context(await open_read_only(where))
        feed = make_feed(config)
        stack.push_async_callback(feed.close)
        history = await History.read(ledger, session.id, config, feed)
        ids = chosen(history, since, run_ids)
        return [one async for one in decide_again(history, ids, alternative, feed, horizon=horizon)]


async def _find(home: Path, location: str | None, run_id: str | None) -> tuple[Path | str, SessionRecord, list[str]]:
    """The ledger, the session, and the run that is named; without a name the session whose run decided last.

    Raises:
        RunError: there is none, more than one run's id begins so, or that run decided nothing.
        ConfigurationError: there is none in the ledgers that can be read, and others cannot.
    """
    from api.ledgers import LAST
    from evals.read_only import open_read_only
    from graph.folders import Folders
    from trading_core.domain.errors import ConfigurationError

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
    from trading_core.domain.errors import RunError

    return RunError(what, not_done="Nothing was replayed", next_step=next_step)


async def _alternative(home: Path, config: SessionConfig, choices: Choices, stack: AsyncExitStack) -> Alternative:
    from agents.models.openai_compatible import build, describe, http_pool
    from agents.models.rules import RULES_MODEL_NAME, RulesModel
    from api.endpoint import check_endpoint
    from evals.prices import load_prices, price_of
    from evals.prompts import load_roster
    from evals.replay import Alternative
    from graph.record import LedgerAnswers
    from trading_core.domain.clock import SystemClock
    from trading_core.persistence.session import Database

    roster = load_roster(choices.prompts)
    changed = choices.limits is not None or choices.overrides
    limits = effective_limits(choices.limits, choices.overrides, simulated=config.simulated).book if changed else None
    settings = config.model if choices.model is None else model_settings(choices.model, choices.base_url)
    if settings.provider == "rules":
        return Alternative(RulesModel(), RULES_MODEL_NAME, roster, limits)
    check_endpoint(settings)
    chat = build(settings, await stack.enter_async_context(http_pool()))
    # Beside the ledger, which is not touched: a replay that was interrupted need not pay twice.
    answers = await stack.enter_async_context(await Database.open(home / "replays.db"))
    price = price_of(settings, load_prices())
    kept = LedgerAnswers(answers, SystemClock())
    return Alternative(chat, describe(chat), roster, limits, price, kept, keeps_rules=choices.model is None)


def _document(found: list[Replayed]) -> dict[str, object]:
    from pydantic import TypeAdapter

    from evals.replay import Replayed

    rows = TypeAdapter(list[Replayed]).dump_python(found, mode="json")
    return {"runs": [{**row, "differs": one.differs} for row, one in zip(rows, found, strict=True)]}
