"""From what stands on the command line and in the environment to a session's config."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from trading_core.domain.errors import ConfigurationError, InvalidInput
from trading_core.domain.market import Timeframe
from trading_core.domain.money import positive

if TYPE_CHECKING:
    from pydantic import SecretStr

    from agents.models.spec import ModelSettings
    from graph.config import SessionConfig
    from trading_core.persistence.repositories.broker_accounts import BrokerAccount
    from trading_core.risk.limits_book import EffectiveLimits

# What `algotrendy run` shows on its own. The seed was looked for: within twelve cycles there are an entry that the gate cuts
# down, a second one, a stop that is hit and an exit. It loses money doing so, and says nothing about profit in either direction.
SHOWN_SEED, SHOWN_CYCLES = 182, 12
SHOWN_SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT")
LIVE_SYMBOLS = ("BTC/USDT", "ETH/USDT")
MOST_DEPOSIT = Decimal("1e12")
SIMULATED = "simulated market"
_PAST = ("synthetic", "history")  # markets whose time is simulated
_NOT_RUN = "Nothing was run"


@dataclass(frozen=True, slots=True)
class RunChoices:
    """The options of `run`, as they were typed; None for one that was not given."""

    market: str
    data: Path | None
    venue: str | None
    symbols: str | None
    timeframe: str
    start: str | None
    end: str | None
    cycles: int | None
    seed: int | None
    account: str
    model: str
    base_url: str | None
    limits: Path | None
    overrides: list[str]
    rebalance_every: int
    strategy: str = ""
    broker: BrokerAccount | None = None
    standby: str | None = None
    channels: str | None = None


def session_config(choices: RunChoices) -> tuple[SessionConfig, EffectiveLimits]:
    """The config, and where each limit came from.

    Raises:
        AlgoTrendyError: with one line about the first thing that is wrong.
    """
    from graph.config import SessionConfig

    _fits_the_market(choices)
    timeframe = Timeframe(choices.timeframe)
    limits = effective_limits(choices.limits, choices.overrides, simulated=choices.market in _PAST)
    data = _bars_in(choices.data.resolve()) if choices.data else None
    end = instant(choices.end, "--to")
    is_synthetic = choices.market == "synthetic"
    config = SessionConfig.parse(
        {
            "market": choices.market,
            "data": str(data) if data else None,
            "venue": choices.broker.venue if choices.broker else choices.venue,
            "symbols": _symbols(choices, data, timeframe),
            "channels": _channels(choices),
            "standby": [name.strip() for name in choices.standby.split(",")] if choices.standby else [],
            "timeframe": str(timeframe),
            "start": instant(choices.start, "--from"),
            "end": end,
            "cycles": SHOWN_CYCLES if is_synthetic and choices.cycles is None and end is None else choices.cycles,
            "seed": SHOWN_SEED if is_synthetic and choices.seed is None else choices.seed or 0,
            "deposit": _deposit(choices.account),
            "account": (
                {"id": choices.broker.id, "production": choices.broker.production, "url": choices.broker.url}
                if choices.broker
                else None
            ),
            "model": model_settings(choices.model, choices.base_url),
            "limits": limits.book,
            "strategy": choices.strategy,
            "rebalance_every": choices.rebalance_every,
        }
    )
    return config, limits


def stored_config(kept: Mapping[str, object], key: SecretStr | None = None) -> SessionConfig:
    """A session's config from its record, with the key that is never kept: `key`, or the environment's."""
    from graph.config import SessionConfig

    model = kept.get("model")
    if not isinstance(model, Mapping) or model.get("model") == "rules":
        return SessionConfig.parse(kept)
    return SessionConfig.parse({**kept, "model": {**model, "api_key": key or api_key(model.get("base_url"))}})


def effective_limits(path: Path | None, overrides: list[str], *, simulated: bool) -> EffectiveLimits:
    """The limits in force. In a simulated market nobody is there to approve, so none is asked for unless that was set."""
    from trading_core.risk.limits import Limits
    from trading_core.risk.limits_book import load_limits

    found = load_limits(path, _pairs(overrides))
    key = "approval_above_notional"
    if not simulated or found.sources[key] != "default":
        return found
    limits = Limits.model_validate({**found.limits.model_dump(), key: None})
    return replace(found, book=found.book.model_copy(update={"desk": limits}), sources={**found.sources, key: SIMULATED})


def api_key(base_url: str | None) -> SecretStr | None:
    """The key for a model's endpoint, from the environment. OpenAI's own key goes to OpenAI's own endpoint only."""
    from pydantic import SecretStr

    names = ("ALGOTRENDY_API_KEY",) if base_url else ("ALGOTRENDY_API_KEY", "OPENAI_API_KEY")
    text = next((value for name in names if (value := os.environ.get(name))), None)
    return SecretStr(text) if text else None


def model_settings(model: str, base_url: str | None) -> ModelSettings:
    """Raises ConfigurationError for a model, endpoint or key that cannot be used."""
    from agents.models.spec import parse

    # The rules model calls nobody: a key that happens to be in the environment is not its business.
    return parse({"model": model, "base_url": base_url, "api_key": api_key(base_url) if model.strip() != "rules" else None})


def instant(text: str | None, name: str) -> datetime | None:
    """A date or a time in ISO 8601; a date is its first instant, and without an offset it is UTC."""
    if text is None:
        return None
    try:
        if len(text) == len("2025-03-03"):
            day = date.fromisoformat(text)
            return datetime(day.year, day.month, day.day, tzinfo=UTC)
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidInput(
            f"{name} is {text!r}, which is no date or time",
            not_done=_NOT_RUN,
            next_step="Write it like 2025-03-03 or 2025-03-03T14:00Z",
        ) from None


def _pairs(overrides: list[str]) -> dict[str, str]:
    pairs = {}
    for text in overrides:
        key, separator, value = text.partition("=")
        if not separator or not key.strip() or not value.strip():
            raise InvalidInput(
                f"--limit {text!r} is not KEY=VALUE", not_done=_NOT_RUN, next_step="`algotrendy limits` lists the keys"
            )
        pairs[key.strip()] = value.strip()
    return pairs


def _fits_the_market(choices: RunChoices) -> None:
    if choices.market not in (*_PAST, "practice", "live"):
        raise InvalidInput(f"--market is {choices.market!r}", not_done=_NOT_RUN, next_step="Use synthetic, history or live")
    if choices.market == "practice" and choices.start is None:
        raise InvalidInput(
            "a practice market moves with the clock, for as long as somebody serves it",
            not_done=_NOT_RUN,
            next_step="Use `algotrendy serve`, or --market synthetic",
        )
    if choices.data is not None and choices.market != "history":
        raise InvalidInput(
            f"--data is not read by a {choices.market} market", not_done=_NOT_RUN, next_step="Add --market history"
        )
    if choices.broker is not None and choices.market != "live":
        raise InvalidInput(
            f"--broker does not trade on a {choices.market} market", not_done=_NOT_RUN, next_step="Add --market live"
        )
    if choices.broker is not None and choices.venue not in (None, choices.broker.venue):
        raise InvalidInput(
            f"account {choices.broker.id!r} is at {choices.broker.venue}, not {choices.venue}",
            not_done=_NOT_RUN,
            next_step="Leave --venue out",
        )
    if choices.venue is not None and choices.market != "live":
        raise InvalidInput(f"--venue is not read by a {choices.market} market", not_done=_NOT_RUN, next_step="Add --market live")
    if choices.market == "live" and (choices.start or choices.end):
        raise InvalidInput("--from and --to are for past markets; live is now", not_done=_NOT_RUN, next_step="Use --cycles")
    if choices.market == "history" and choices.data is None:
        raise ConfigurationError("a history market needs bars", not_done=_NOT_RUN, next_step="Give a folder or file with --data")


def _symbols(choices: RunChoices, data: Path | None, timeframe: Timeframe) -> tuple[str, ...]:
    if choices.symbols is not None:
        named = tuple(part.strip().upper() for part in choices.symbols.split(","))
        if not all(named):
            raise InvalidInput(
                f"--symbols {choices.symbols!r} has an empty name", not_done=_NOT_RUN, next_step="Write BTC/USDT,ETH/USDT"
            )
        return named
    if data is not None:
        return _symbols_in(data, timeframe)
    return LIVE_SYMBOLS if choices.market == "live" else SHOWN_SYMBOLS


def _bars_in(data: Path) -> Path:
    """The bars themselves, or `ohlcv` below what holds all that was recorded: the folder that `eval` takes."""
    below = data / "ohlcv"
    return below if below.is_dir() else data


def _symbols_in(data: Path, timeframe: Timeframe) -> tuple[str, ...]:
    """What the file names of a folder say, without reading the bars."""
    from data_channels.market.file_names import parse_name
    from data_channels.market.history import HistoryFeed

    try:
        paths = sorted(data.iterdir()) if data.is_dir() else [data]
    except OSError as error:
        raise InvalidInput(f"{data} cannot be read: {error.strerror}", not_done=_NOT_RUN) from None
    named = [file for path in paths if path.is_file() and (file := parse_name(path))]
    found = sorted({file.symbol for file in named if file.timeframe == timeframe})
    if not found:
        HistoryFeed.load(data, timeframe=timeframe)  # says what is there instead
    return tuple(found)


def _channels(choices: RunChoices) -> list[str]:
    """Sources of readings: every one beside a live market and none beside another, unless some, `all` or `none` were named."""
    from graph.channels import SOURCES

    if choices.channels is None:
        return list(SOURCES) if choices.market == "live" else []
    names = [name.strip() for name in choices.channels.split(",")]
    if names in (["none"], ["all"]):
        return [] if names == ["none"] else list(SOURCES)
    if unknown := [name for name in names if name not in SOURCES]:
        raise InvalidInput(
            f"--channels names {unknown[0]!r}", not_done=_NOT_RUN, next_step=f"Use none, or some of {', '.join(SOURCES)}"
        )
    return names


def _deposit(text: str) -> Decimal:
    deposit = positive(text.replace("_", ""), name="--account")
    if deposit > MOST_DEPOSIT:
        raise InvalidInput(f"--account is {text}, more than {MOST_DEPOSIT:,f}", not_done=_NOT_RUN, next_step="Give a smaller one")
    return deposit
