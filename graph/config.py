"""Everything that makes one session of the desk: enough to build it again, and nothing secret."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from agents.models.spec import ModelSettings
from trading_core.domain.clock import utc
from trading_core.domain.errors import ConfigurationError, InvalidInput
from trading_core.domain.intents import digest
from trading_core.domain.market import Timeframe
from trading_core.risk.limits import Limits
from trading_core.risk.limits_book import LimitsBook

MarketKind = Literal["synthetic", "history", "practice", "live"]
_PAST = ("synthetic", "history")
_MATCHED_INSIDE = Timeframe("1m")  # bars that the paper exchange matches against where a market has them beside its own


class VenueAccount(BaseModel):
    """An account at a venue, as it was when the session was begun.

    Attributes:
        id: its name in the ledger.
        production: the money is real.
        url: of another host that speaks the venue's API.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    production: bool
    url: str | None = None

    @property
    def sandbox(self) -> bool:
        """Whether the venue's own test network is used."""
        return not self.production and self.url is None


class SessionConfig(BaseModel):
    """One session: which market, what account, which model, which limits.

    Attributes:
        start, end: first and last instant a cycle may run at; None for all there is (history) or a default (synthetic). A
            practice has a start, when it was first begun: its prices hang on it.
        cycles: most cycles; None for every bar from start to end.
        deposit: what the paper account opens with, in the quote currency of the symbols.
        account: at the venue whose market is live; None for the paper exchange.
        channels: sources of readings beside the market, by name: asked in a live one, read from the store in a recorded one.
        standby: venues whose prices are read while the market's own cannot be; orders never go there.
        seed: of the synthetic market and of the paper exchange's bad luck.
        strategy: whose limits bind the session's orders, beside the account's; empty for none of its own.
        rebalance_drift: distance of a weight from equal weights (fraction of equity) at which rebalancing is asked for.
        rebalance_every: ask anyway each so many cycles; 0 for never.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    market: MarketKind = "synthetic"
    data: str | None = None
    venue: str | None = None
    symbols: Annotated[tuple[str, ...], Field(min_length=1, max_length=50)]
    timeframe: str = "1h"
    start: datetime | None = None
    end: datetime | None = None
    cycles: Annotated[int, Field(ge=1)] | None = None
    seed: int = 0
    deposit: Annotated[Decimal, Field(gt=0, allow_inf_nan=False)] = Decimal(100_000)
    account: VenueAccount | None = None
    channels: Annotated[tuple[str, ...], Field(max_length=20)] = ()
    standby: Annotated[tuple[str, ...], Field(max_length=5)] = ()
    model: ModelSettings = ModelSettings()
    limits: LimitsBook = LimitsBook()
    strategy: Annotated[str, Field(max_length=64)] = ""
    rebalance_drift: Annotated[Decimal, Field(gt=0, le=1)] = Decimal("0.10")
    rebalance_every: Annotated[int, Field(ge=0)] = 0

    @classmethod
    def parse(cls, values: Mapping[str, object]) -> Self:
        """A config from settings a person wrote.

        Raises:
            ConfigurationError: with one line about the first thing that is wrong.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "settings"
            raise ConfigurationError(
                f"{where}: {first['msg'].removeprefix('Value error, ')}", not_done="Nothing was run"
            ) from None

    @field_validator("limits", mode="before")
    @classmethod
    def _limits(cls, value: object) -> object:
        """The desk's limits alone will do."""
        if isinstance(value, Limits) or (isinstance(value, Mapping) and value.keys().isdisjoint(LimitsBook.model_fields)):
            return {"desk": value}
        return value

    @field_validator("timeframe")
    @classmethod
    def _timeframe(cls, value: str) -> str:
        try:
            return str(Timeframe(value))
        except InvalidInput as error:
            raise ValueError(error.what) from None

    @field_validator("start", "end")
    @classmethod
    def _in_utc(cls, value: datetime | None) -> datetime | None:
        return None if value is None else utc(value)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(set(self.symbols)) != len(self.symbols):
            raise ValueError("a symbol is named twice")
        quotes = {symbol.partition("/")[2] for symbol in self.symbols}
        if len(quotes) != 1 or not quotes.pop():
            raise ValueError(f"symbols must be BASE/QUOTE and share one quote currency, not {', '.join(self.symbols)}")
        if self.start and self.end and self.end <= self.start:
            raise ValueError("the end lies before the start")
        if self.market == "history" and not self.data:
            raise ValueError("a history market needs a folder or file of bars: give --data")
        if self.market == "live" and not self.venue:
            raise ValueError("a live market needs a venue: give --venue, such as binance")
        if self.account and self.market != "live":
            raise ValueError("an account at a venue trades on its live market only")
        if self.market == "practice" and (self.start is None or self.end is not None):
            raise ValueError("a practice market has a start and no end")
        if self.channels and self.market in ("synthetic", "practice"):
            raise ValueError("nobody says anything of a generated market: channels go with a live or a recorded one")
        if self.standby and (self.market != "live" or self.venue in self.standby):
            raise ValueError("a standby is another venue than that of a live market")
        return self

    @property
    def bars(self) -> Timeframe:
        return Timeframe(self.timeframe)

    @property
    def currency(self) -> str:
        return self.symbols[0].partition("/")[2]

    @property
    def simulated(self) -> bool:
        """Whether time is simulated: history and synthetic markets are over before they start."""
        return self.market in _PAST

    @property
    def matched(self) -> Timeframe:
        """The bars that the paper exchange matches against."""
        return _MATCHED_INSIDE if self.market == "practice" else self.bars

    @property
    def session_id(self) -> str:
        """The same settings always make the same session; only the name of the data counts, not where it lies."""
        content = self.stored()
        content["data"] = Path(self.data).name if self.data else None
        return digest(content)[:10]

    def followed(self) -> dict[str, object]:
        """What makes the session's strategy what it is: what is looked at, by which model, under which limits of its own."""
        content = self.stored()
        own = dict.fromkeys(("market", "symbols", "timeframe", "model", "rebalance_drift", "rebalance_every"))
        limits = self.limits.model_dump(mode="json")["strategy"].get(self.strategy, {})
        return {**{name: content[name] for name in own}, "limits": limits}

    def stored(self) -> dict[str, object]:
        """As kept in the ledger: everything but the key."""
        content = self.model_dump(mode="json", exclude={"model": {"api_key"}})
        if self.account is None:
            del content["account"]  # as it was before there were any: a session keeps its id
        for name in ("standby", "channels"):
            if not content[name]:
                del content[name]
        return dict(content)
