"""Which account `serve` serves: one at a venue, paper over a venue's prices, or paper over a market generated as time passes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from api.commands.settings import RunChoices, session_config
from trading_core.domain.clock import iso
from trading_core.domain.errors import ConfigurationError, InvalidInput

if TYPE_CHECKING:
    from graph.config import SessionConfig
    from trading_core.persistence.session import Database
    from trading_core.risk.limits_book import EffectiveLimits

PRACTICE, LIVE = "practice", "live"
PRACTICE_TIMEFRAME, LIVE_TIMEFRAME, DEPOSIT = "5m", "1h", "100000"
# Of the practice that begins without a choice. It was looked for: the first cycle wants an entry, which waits for approval, and
# the second one another. It says nothing about profit in either direction.
PRACTICE_SEED = 51


@dataclass(frozen=True, slots=True)
class Wanted:
    """Options of `serve` that a practice goes on with when they are not given; None for one that was not."""

    symbols: str | None
    timeframe: str | None
    seed: int | None
    account: str | None


async def served_config(
    choices: RunChoices, wanted: Wanted, database: Database, now: datetime
) -> tuple[SessionConfig, EffectiveLimits]:
    """The config to serve. A practice that was begun before goes on, in its own market.

    Args:
        choices: all but what `wanted` holds.

    Raises:
        AlgoTrendyError: with one line about the first thing that is wrong.
    """
    if choices.market not in (PRACTICE, LIVE):
        raise InvalidInput(
            f"--market {choices.market} is no market to serve: its time is over",
            not_done="Nothing was served",
            next_step=f"Use practice or live, or `algotrendy run --market {choices.market}`",
        )
    if choices.market == LIVE:
        timeframe, account = wanted.timeframe or LIVE_TIMEFRAME, wanted.account or DEPOSIT
        return session_config(replace(choices, symbols=wanted.symbols, timeframe=timeframe, seed=wanted.seed, account=account))
    before = await newest_practice(database)
    if before is None:
        timeframe, account = wanted.timeframe or PRACTICE_TIMEFRAME, wanted.account or DEPOSIT
        start = iso(now.astimezone(UTC).replace(microsecond=0))
        seed = PRACTICE_SEED if wanted.seed is None else wanted.seed
        return session_config(
            replace(choices, symbols=wanted.symbols, timeframe=timeframe, seed=seed, account=account, start=start)
        )
    _same_market(wanted, before)
    return session_config(
        replace(
            choices,
            symbols=wanted.symbols or ",".join(before.symbols),
            timeframe=before.timeframe,
            seed=before.seed,
            account=wanted.account or str(before.deposit),
            start=iso(before.start) if before.start else None,
        )
    )


async def newest_practice(database: Database) -> SessionConfig | None:
    """What was practised last in a ledger, with its market's beginning."""
    from graph.config import SessionConfig

    async with database.reading() as uow:
        newest_first = await uow.sessions.all()
    for session in newest_first:
        if session.config.get("market") == PRACTICE:
            return SessionConfig.parse({**session.config, "model": {}})  # whichever model it had then, no key is needed
    return None


def _same_market(wanted: Wanted, before: SessionConfig) -> None:
    """Refuse what would make other prices of those that the account's positions were bought at."""
    for name, asked, is_now in (("--seed", wanted.seed, before.seed), ("--timeframe", wanted.timeframe, before.timeframe)):
        if asked is not None and str(asked) != str(is_now):
            raise ConfigurationError(
                f"the practice account trades on the market of {name} {is_now}, and {asked} is another one with other prices",
                not_done="Nothing was served",
                next_step=f"Leave {name} out, or practise in another folder with --home",
            )
