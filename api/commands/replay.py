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

from api.commands.run import AsJson, Limit, Limits
from api.commands.settings import effective_limits, instant, model_settings, stored_config
from api.home import HomeContext, Ledger

if TYPE_CHECKING:
    from evals.replay import Alternative, Replayed
    from graph.config import SessionConfig
    from trading_core.persistence.records import SessionRecord


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
        str | None, typer.Option(metavar="TIME", help="Every run from then on of the session that was written to last.")
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
    """The ledger, the session, and the run that is named; without a name the session that was written to last.

    Raises:
        RunError: there is none, or more than one run's id begins so.
    """
    from api.ledgers import LAST
    from evals.read_only import open_read_only
    from graph.folders import Folders
    from trading_core.domain.errors import RunError

    named: dict[str, tuple[Path | str, SessionRecord]] = {}
    for folders in Folders.all_in(home, location):
        async with await open_read_only(folders.ledger) as ledger, ledger.reading() as uow:
            newest = run_id is None or run_id == LAST
            runs = await (uow.runs.recent(1) if newest else uow.runs.beginning(run_id or "", 3))
            for run in runs:
                session = await uow.sessions.get(run.session_id) if run.session_id else None
                if session is not None and newest:
                    return folders.ledger, session, [run.id] if run_id else []
                if session is not None:
                    named[run.id] = folders.ledger, session
    if run_id in named:
        return *named[run_id], [run_id]
    if len(named) != 1:
        what = f"{len(named)} runs begin with {run_id!r}" if named else f"there is no run {run_id!r} on record"
        raise RunError(what, not_done="Nothing was replayed", next_step="`algotrendy runs` lists them")
    ((only, (where, session)),) = named.items()
    return where, session, [only]


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
    return Alternative(chat, describe(chat), roster, limits, price, LedgerAnswers(answers, SystemClock()))


def _document(found: list[Replayed]) -> dict[str, object]:
    from pydantic import TypeAdapter

    from evals.replay import Replayed

    rows = TypeAdapter(list[Replayed]).dump_python(found, mode="json")
    return {"runs": [{**row, "differs": one.differs} for row, one in zip(rows, found, strict=True)]}
