"""Fixing what a run may know: taken once, hashed, kept, and rebuilt the same on resume."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TypeVar

from pydantic import TypeAdapter

from data_channels.base import Channel
from data_channels.crosscheck import Finding
from graph.caution import unlike_bars
from trading_core.domain.clock import iso
from trading_core.domain.errors import MarketDataError, RunError, UnknownSymbol
from trading_core.domain.intents import digest
from trading_core.domain.market import Bar, ChannelReport, MarketFeed, Ticker, Timeframe
from trading_core.domain.money import plain
from trading_core.domain.orders import Order
from trading_core.domain.portfolio import Portfolio
from trading_core.domain.snapshot import Snapshot
from trading_core.execution.book import AccountView
from trading_core.execution.desk import Desk
from trading_core.risk.state import fraction_lost

T = TypeVar("T")

WINDOW = 300  # bars an agent's indicators stand on; EMA 200 needs its run-up
LEAST_BARS = 60
_MOST_AT_HAND = 4  # snapshots of runs that are worked on side by side: the newest, and those of questions asked meanwhile


@dataclass(frozen=True, slots=True)
class _Content:
    """The kept form. Bars are kept as a digest: they are read again from the feed, and must give the same one."""

    as_of: datetime
    timeframe: str
    symbols: tuple[str, ...]
    tickers: Mapping[str, Ticker]
    bars: Mapping[str, str]
    channels: Mapping[str, ChannelReport]
    portfolio: Portfolio
    open_orders: tuple[Order, ...]
    state: str
    drawdown: Decimal
    limits: Mapping[str, str]
    doubts: Mapping[str, str] = field(default_factory=dict)


_CONTENT = TypeAdapter(_Content)


Contradicted = Callable[[str, datetime, Ticker | None], Awaitable[Sequence[Finding]]]
"""The prices of a symbol that other sources contradict, at an instant; the ticker is the one that would be traded on."""


class Snapshots:
    """Takes and rebuilds snapshots of one desk, and keeps those of the process at hand."""

    def __init__(
        self,
        *,
        desk: Desk,
        feed: MarketFeed,
        channels: Sequence[Channel],
        timeframe: Timeframe,
        symbols: tuple[str, ...],
        contradicted: Contradicted | None = None,
    ) -> None:
        self._desk, self._feed, self._channels, self._contradicted = desk, feed, channels, contradicted
        self._timeframe, self._symbols = timeframe, symbols
        self._at_hand: dict[str, Snapshot] = {}
        self._digests = _Digests()

    async def take(self, as_of: datetime, view: AccountView, tickers: Mapping[str, Ticker]) -> tuple[Snapshot, dict[str, object]]:
        """The snapshot of this instant, and its content to be kept under its hash."""
        bars = await self._bars(as_of, self._symbols)
        prices = {symbol: ticker.last for symbol, ticker in tickers.items()}
        equity = view.portfolio.equity(prices)
        content = _Content(
            as_of=as_of,
            timeframe=str(self._timeframe),
            symbols=self._symbols,
            tickers=tickers,
            bars={symbol: self._digests.of(symbol, rows) for symbol, rows in bars.items()},
            channels=await self._readings(as_of),
            portfolio=view.portfolio,
            open_orders=view.live_orders,
            state=view.risk.trading_state.value,
            drawdown=fraction_lost(view.risk.peak_equity, equity),
            limits=self._limits(),
            doubts=await self._doubts(as_of, tickers, bars),
        )
        kept = _CONTENT.dump_python(content, mode="json")
        return self._build(content, kept, bars), kept

    async def restore(self, content_hash: str, content: Mapping[str, object] | None) -> Snapshot:
        """A kept snapshot, its bars read again.

        Raises:
            RunError: the desk was started with other symbols or bars since, or the feed no longer tells the same, so the run
                cannot go on with what it knew.
        """
        if content is None:
            raise RunError(f"snapshot {content_hash[:12]!r} is not on record", next_step="Start a new run")
        kept = _CONTENT.validate_python(content)
        self._require_same_desk(kept)
        bars = await self._bars(kept.as_of, kept.symbols)
        seen = replace(kept, bars={symbol: self._digests.of(symbol, rows) for symbol, rows in bars.items()})
        snapshot = self._build(seen, _CONTENT.dump_python(seen, mode="json"), bars)
        if snapshot.content_hash != content_hash:
            raise RunError(
                f"the market data as of {iso(kept.as_of)} is no longer what the run saw",
                not_done="The run was not resumed",
                next_step="Start a new run, or give the same market data",
            )
        return snapshot

    def _require_same_desk(self, kept: _Content) -> None:
        """A symbol more is none of the run's business; one less, or other bars, are not what it decided on."""
        gone = [symbol for symbol in kept.symbols if symbol not in self._symbols]
        if not gone and kept.timeframe == str(self._timeframe):
            return
        raise RunError(
            f"the run was begun by a desk of {', '.join(kept.symbols)} on {kept.timeframe} bars, and this one was started with"
            f" {', '.join(self._symbols)} on {self._timeframe} bars",
            not_done="The run was not resumed",
            next_step="Start a new run; others that wait go on at a desk with their symbols and bars",
        )

    async def look(self, as_of: datetime, view: AccountView) -> Snapshot:
        """What is known at this instant, to answer a question from.

        No run decides on it: it is neither hashed nor kept, and what cannot be read is left out instead of failing.
        """
        frame, wanted = self._timeframe, self._symbols
        names = (*wanted, *(symbol for symbol in view.portfolio.held() if symbol not in wanted))
        priced = await asyncio.gather(*(_if_readable(self._feed.ticker(name, as_of=as_of)) for name in names))
        tickers = {name: ticker for name, ticker in zip(names, priced, strict=True) if ticker is not None}
        windows = await asyncio.gather(
            *(_if_readable(self._feed.bars(symbol, frame, as_of=as_of, limit=WINDOW)) for symbol in wanted)
        )
        bars = {symbol: tuple(rows or ()) for symbol, rows in zip(wanted, windows, strict=True)}
        prices = {symbol: ticker.last for symbol, ticker in tickers.items()}
        known = all(symbol in prices for symbol in view.portfolio.held())
        return Snapshot(
            as_of=as_of,
            timeframe=frame,
            symbols=names,
            instruments=self._desk.instruments,
            tickers=tickers,
            bars=bars,
            channels=await self._readings(as_of),
            portfolio=view.portfolio,
            open_orders=view.live_orders,
            state=view.risk.trading_state.value,
            # Without every price equity is unknown, and whoever tells a drawdown tells that first.
            drawdown=fraction_lost(view.risk.peak_equity, view.portfolio.equity(prices)) if known else Decimal(0),
            limits=self._limits(),
            content_hash="",
            doubts=await self._doubts(as_of, tickers, bars),
        )

    def at_hand(self, content_hash: str) -> Snapshot | None:
        """The snapshot, if it is one of those that this process took or rebuilt last."""
        return self._at_hand.get(content_hash)

    def _build(self, content: _Content, kept: Mapping[str, object], bars: Mapping[str, tuple[Bar, ...]]) -> Snapshot:
        hashed = {name: value for name, value in kept.items() if name != "as_of"}
        snapshot = Snapshot(
            as_of=content.as_of,
            timeframe=self._timeframe,
            symbols=content.symbols,
            instruments=self._desk.instruments,
            tickers=content.tickers,
            bars=bars,
            channels=content.channels,
            portfolio=content.portfolio,
            open_orders=content.open_orders,
            state=content.state,
            drawdown=content.drawdown,
            limits=content.limits,
            doubts=content.doubts,
            content_hash=digest(hashed),
        )
        self._at_hand.pop(snapshot.content_hash, None)
        self._at_hand[snapshot.content_hash] = snapshot
        while len(self._at_hand) > _MOST_AT_HAND:  # older ones are on record
            del self._at_hand[next(iter(self._at_hand))]
        return snapshot

    async def tickers(self, portfolio: Portfolio, as_of: datetime) -> dict[str, Ticker]:
        """Last known prices of the session's symbols and of all that is held.

        Raises:
            RunError: something is held that the market does not list.
            MarketDataError: a price cannot be read.
        """
        names = list(dict.fromkeys((*self._symbols, *portfolio.held())))
        try:
            found = await asyncio.gather(*(self._feed.ticker(name, as_of=as_of) for name in names))
        except UnknownSymbol as error:
            raise RunError(
                f"what the account is worth is not known, for not all that it holds has a price: {error.what}",
                not_done="Nothing was decided or traded",
                next_step="Start the desk with every symbol that is held; what the venue lists no more, move out of the account",
            ) from error
        return {name: ticker for name, ticker in zip(names, found, strict=True) if ticker is not None}

    async def _bars(self, as_of: datetime, symbols: Sequence[str]) -> dict[str, tuple[Bar, ...]]:
        found = await asyncio.gather(*(self._feed.bars(symbol, self._timeframe, as_of=as_of, limit=WINDOW) for symbol in symbols))
        return {symbol: tuple(rows) for symbol, rows in zip(symbols, found, strict=True)}

    async def _readings(self, as_of: datetime) -> dict[str, ChannelReport]:
        asked = [(channel, symbol) for channel in self._channels for symbol in self._symbols]
        reports = await asyncio.gather(*(channel.report(symbol, as_of=as_of) for channel, symbol in asked))
        return {f"{channel.kind}:{symbol}": report for (channel, symbol), report in zip(asked, reports, strict=True)}

    async def _doubts(self, as_of: datetime, tickers: Mapping[str, Ticker], bars: Mapping[str, Sequence[Bar]]) -> dict[str, str]:
        """What is said against prices: by other sources, and by the bars before them."""
        told = {symbol: [unlike_bars(tickers[symbol], bars[symbol])] for symbol in self._symbols if symbol in tickers}
        if self._contradicted is not None:
            found = await asyncio.gather(*(self._contradicted(symbol, as_of, tickers.get(symbol)) for symbol in self._symbols))
            for symbol, findings in zip(self._symbols, found, strict=True):
                told.setdefault(symbol, []).extend(map(str, findings))
        texts = {symbol: "; ".join(filter(None, said)) for symbol, said in told.items()}
        return {symbol: text for symbol, text in texts.items() if text}

    def _limits(self) -> dict[str, str]:
        """Those that an agent's choice can run into."""
        limits = self._desk.limits
        names = ("risk_per_trade", "max_position", "max_exposure", "max_correlated_exposure", "max_positions", "cash_reserve")
        return {name: plain(Decimal(getattr(limits, name))) for name in (*names, "daily_loss", "drawdown")}

    def tradable(self, snapshot: Snapshot) -> list[str]:
        """Symbols with enough bars, the last of them fresh, and a price: the others have nothing to look at yet."""
        oldest = snapshot.as_of - 3 * self._timeframe.length - timedelta(seconds=1)
        return [
            symbol
            for symbol in snapshot.symbols
            if symbol in snapshot.tickers
            and len(snapshot.bars.get(symbol, ())) >= LEAST_BARS
            and snapshot.bars[symbol][-1].opened_at >= oldest
        ]


async def _if_readable(reading: Awaitable[T]) -> T | None:
    """What is read; None of a market that cannot be read now, or is listed no more."""
    try:
        return await reading
    except (MarketDataError, UnknownSymbol):
        return None


def check_listed(symbols: Sequence[str], listed: Mapping[str, object]) -> None:
    """Refuse symbols that the market does not list.

    Raises:
        UnknownSymbol: naming what there is.
    """
    for symbol in symbols:
        if symbol not in listed:
            raise UnknownSymbol(
                f"the market lists no {symbol!r}",
                not_done="Nothing was run",
                next_step=f"Known: {', '.join(sorted(listed)[:20])}",
            )


class _Digests:
    """Digests of bars. From cycle to cycle a window moves on by a bar: the lines of the others are kept."""

    def __init__(self) -> None:
        self._lines: dict[str, dict[datetime, tuple[Bar, bytes]]] = {}

    def of(self, symbol: str, bars: Sequence[Bar]) -> str:
        """SHA-256 over a line for each bar."""
        before, now = self._lines.get(symbol, {}), {}
        rows = hashlib.sha256()
        for bar in bars:
            kept = before.get(bar.opened_at)
            if kept is None or kept[0] is not bar:
                kept = bar, f"{iso(bar.opened_at)},{bar.open},{bar.high},{bar.low},{bar.close},{bar.volume}\n".encode()
            now[bar.opened_at] = kept
            rows.update(kept[1])
        self._lines[symbol] = now
        return rows.hexdigest()
