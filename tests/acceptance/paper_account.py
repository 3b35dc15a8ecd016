"""The paper exchange over a market that a case moves: bars of a minute, quiet unless something is made to happen."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from tests.acceptance.account import DEPOSIT, OTHER_PRICE, PRICE, Account
from tests.venues.engine_types import QUOTE, RECEIVED, Fees
from trading_core.brokers.paper.broker import PaperBroker
from trading_core.brokers.paper.rules import PaperRules
from trading_core.brokers.paper.store import PaperStore
from trading_core.domain.clock import SimulatedClock
from trading_core.domain.instruments import FeeCurrency, Instrument
from trading_core.domain.market import Bar, MarketFeed, Ticker, Timeframe
from trading_core.domain.money import Money
from trading_core.domain.orders import Side

D = Decimal
START, MINUTE = datetime(2024, 1, 1, tzinfo=UTC), timedelta(minutes=1)
QUIET = D(1000)
"""What a bar trades in which nothing is made to happen: as deep as the local venues' market."""
# All that a bar trades may be the account's, at the price that is quoted: numbers that a case can count on.
RULES = PaperRules(participation=D(1), impact_coefficient=D(0), jitter=D(0))
SYMBOLS: Mapping[str, Decimal] = {"BTC/USDT": PRICE, "ETH/USDT": OTHER_PRICE}
TICK = D("0.01")
_CURRENCIES = {RECEIVED: FeeCurrency.RECEIVED, QUOTE: FeeCurrency.QUOTE}


class Tape:
    """A `MarketFeed` whose bars are written as the clock goes on."""

    name = "the tape of the case"
    generated = True

    def __init__(self, instruments: Sequence[Instrument], clock: SimulatedClock) -> None:
        self.prices = dict(SYMBOLS)
        self._clock = clock
        self._instruments = {instrument.symbol: instrument for instrument in instruments}
        self._bars: dict[str, list[Bar]] = {symbol: [] for symbol in SYMBOLS}
        self._write_until(clock.now())

    def close_bar(self, symbol: str, volume: Decimal = QUIET, low: Decimal | None = None, high: Decimal | None = None) -> None:
        """Go on to the next minute; the one that ends has traded `volume` between `low` and `high`."""
        self._write_until(self._clock.now())
        opened, price = self._present(), self.prices[symbol]
        self._clock.advance_to(opened + MINUTE)
        self._bars[symbol].append(Bar(opened, price, max(price, high or price), min(price, low or price), price, volume))
        self._write_until(self._clock.now())
        self._clock.advance_to(opened + MINUTE + timedelta(seconds=1))

    async def instruments(self) -> Mapping[str, Instrument]:
        return self._instruments

    async def bars(self, symbol: str, timeframe: Timeframe, *, as_of: datetime, limit: int) -> Sequence[Bar]:
        self._write_until(as_of)
        known = self._known(symbol, as_of)
        return self._bars[symbol][max(0, known - limit) : known]

    async def bars_between(self, symbol: str, timeframe: Timeframe, *, start: datetime, end: datetime) -> Sequence[Bar]:
        self._write_until(end)
        return self._bars[symbol][self._known(symbol, start) : self._known(symbol, end)]

    async def ticker(self, symbol: str, *, as_of: datetime) -> Ticker | None:
        self._write_until(as_of)
        known = self._known(symbol, as_of)
        opened = START + known * MINUTE
        if as_of > opened:
            last = self._bars[symbol][known].open if known < len(self._bars[symbol]) else self.prices[symbol]
            at = opened
        else:
            last, at = self._bars[symbol][known - 1].close, opened - timedelta(microseconds=1)
        return Ticker(symbol, last - TICK, last + TICK, last, at)

    async def close(self) -> None: ...

    def _known(self, symbol: str, as_of: datetime) -> int:
        return bisect_right(self._bars[symbol], as_of, key=lambda bar: bar.opened_at + MINUTE)

    def _present(self) -> datetime:
        return START + (self._clock.now() - START) // MINUTE * MINUTE

    def _write_until(self, instant: datetime) -> None:
        """Quiet bars for every minute that has passed."""
        for symbol, bars in self._bars.items():
            price = self.prices[symbol]
            while (opened := START + len(bars) * MINUTE) + MINUTE <= instant:
                bars.append(Bar(opened, price, price, price, price, QUIET))


@dataclass
class PaperAccount(Account):
    """An account at the paper exchange."""

    clock: SimulatedClock
    tape: Tape

    async def settle(self) -> None:
        await self.clock.sleep(1)

    async def move(self, price: Decimal) -> None:
        self.tape.close_bar(self.symbol)
        # The minute that has just begun opens at the new price: the quiet one before it ended at the old.
        self.tape.prices[self.symbol] = price
        self.tape.close_bar(self.symbol)

    async def trade(self, side: Side, price: Decimal, quantity: Decimal) -> None:
        self.tape.close_bar(self.symbol)
        if side is Side.SELL:
            self.tape.close_bar(self.symbol, quantity, low=price - TICK)
        else:
            self.tape.close_bar(self.symbol, quantity, high=price + TICK)
        await self.broker.open_orders()  # matched now: what is quiet afterwards is deep again
        self.tape.close_bar(self.symbol)

    async def offer(self, quantity: Decimal) -> None:
        self.tape.close_bar(self.symbol)
        self.tape.close_bar(self.symbol, quantity)

    async def restart(self) -> None:
        await self.broker.close()
        self.broker = await _broker(self.tape, self.clock, self.folder)

    @asynccontextmanager
    async def feed(self) -> AsyncIterator[MarketFeed]:
        yield self.tape


@asynccontextmanager
async def opened_on_paper(folder: Path, fees: Fees | None) -> AsyncIterator[PaperAccount]:
    """A new account at the paper exchange."""
    clock = SimulatedClock(START + MINUTE + timedelta(seconds=1))
    tape = Tape([_instrument(symbol, fees or Fees()) for symbol in SYMBOLS], clock)
    first, second = SYMBOLS
    account = PaperAccount(
        broker=await _broker(tape, clock, folder),
        symbol=first,
        other_symbol=second,
        clock=clock,
        since=clock.now() - timedelta(seconds=1),
        folder=folder,
        tape=tape,
    )
    try:
        yield account
    finally:
        await account.broker.close()


async def _broker(tape: Tape, clock: SimulatedClock, folder: Path) -> PaperBroker:
    deposit, store = Money(DEPOSIT, "USDT"), PaperStore(folder / "paper.db")
    broker = PaperBroker(tape, clock, Timeframe("1m"), account_id="paper-1", deposit=deposit, store=store, rules=RULES)
    await broker.open()
    return broker


def _instrument(symbol: str, fees: Fees) -> Instrument:
    plain = Instrument(symbol, TICK, D("0.00001"), D("0.00001"), D(5), D(9000), D(9_000_000))
    return replace(plain, maker_fee=fees.maker, taker_fee=fees.taker, fee_currency=_CURRENCIES[fees.taken_in])
