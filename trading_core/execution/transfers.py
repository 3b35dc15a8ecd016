"""Booking what came into an account or left it other than by trading: what it held when the desk took it over, deposits and
withdrawals, rewards, a remainder that the venue converted.

Nothing of it is guessed at: an operator says that a difference is a transfer, and why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from trading_core.audit.entry import AuditAction, AuditEntry, SubjectKind, recorded
from trading_core.auth.permissions import Action, Principal
from trading_core.brokers.base import Broker
from trading_core.domain.clock import Clock
from trading_core.domain.errors import LedgerError, MarketDataUnavailable
from trading_core.domain.instruments import Instrument
from trading_core.domain.market import MarketFeed
from trading_core.domain.money import ZERO
from trading_core.domain.portfolio import Portfolio, Transfer
from trading_core.execution.booking import Booking
from trading_core.execution.ledger import Ledger
from trading_core.persistence.session import Database

TAKEN_OVER = "held when the desk took the account over"


async def take_over(
    database: Database,
    account_id: str,
    currency: str,
    broker: Broker,
    feed: MarketFeed,
    clock: Clock,
    instruments: Mapping[str, Instrument],
    *,
    by: str,
) -> bool:
    """Open a venue's account in the ledger with everything it holds now. False when it is open already.

    Holdings of a symbol that is traded cost what they are worth now; other assets are on record, and count for nothing.

    Raises:
        BrokerUnavailable, MarketDataUnavailable: the balances, or the price of a holding, could not be read.
        LedgerError: the account is open at another venue or in another currency.
    """
    async with database.reading() as uow:
        is_open = await uow.portfolios.opened_at(account_id) is not None
        if is_open:
            _check_currency(await uow.portfolios.load(account_id), currency)
    if is_open:
        async with database.transaction() as uow:
            return await uow.portfolios.open_account(Portfolio(account_id, currency, ZERO, {}), broker.venue, clock.now())
    opened_at = clock.now()  # before the balances are read: what trades from here on is booked as a fill
    held = {asset: balance.total for asset, balance in (await broker.balances()).items() if balance.total}
    transfers = [
        await _transfer(asset, amount, currency, feed, instruments, opened_at, 0, by, TAKEN_OVER)
        for asset, amount in held.items()
    ]
    portfolio = Portfolio(account_id, currency, ZERO, {})
    for transfer in transfers:
        portfolio = portfolio.after_transfer(transfer)
    async with database.transaction() as uow:
        if not await uow.portfolios.open_account(portfolio, broker.venue, opened_at):
            return False
        for transfer in transfers:
            await uow.transfers.add(account_id, transfer)
        await uow.portfolios.save(portfolio)
        what = {"venue": broker.venue, "currency": currency, "worth": portfolio.paid_in, "balances": held}
        subject = SubjectKind.ACCOUNT, account_id
        await uow.audit.append(AuditEntry(opened_at, by, AuditAction.TRANSFER_BOOKED, *subject, None, what))
    return True


def _check_currency(known: Portfolio, currency: str) -> None:
    if known.currency != currency:
        raise LedgerError(
            f"account {known.account_id!r} is open in {known.currency}, not {currency}",
            not_done="It was not opened again",
            next_step=f"Trade symbols quoted in {known.currency}, or add the account under another name",
        )


class Transfers:
    """Transfers of one account."""

    def __init__(
        self,
        ledger: Ledger,
        booking: Booking,
        broker: Broker,
        feed: MarketFeed,
        clock: Clock,
        instruments: Mapping[str, Instrument],
    ) -> None:
        self._ledger, self._booking, self._broker, self._feed = ledger, booking, broker, feed
        self._clock, self._instruments = clock, instruments

    async def book(self, principal: Principal, reason: str) -> tuple[Transfer, ...]:
        """Book what the venue's balances differ by from the ledger's. Every fill must have been booked before.

        Raises:
            NotPermitted: the principal may not say what was paid in.
            BrokerUnavailable, MarketDataUnavailable: the balances, or the price of a holding, could not be read.
            LedgerError: the ledger was written to meanwhile. Nothing was booked.
        """
        principal.require(Action.MANAGE_BROKERS, self._ledger.account_id)
        before, now = await self._ledger.book(), self._clock.now()
        ours, currency = before.portfolio.balances, before.portfolio.currency
        at_venue = {asset: balance.total for asset, balance in (await self._broker.balances()).items()}
        # A fill before these balances were read is part of them: booked now, it shows below as an account that moved.
        await self._booking.sync()
        differ = {asset: at_venue.get(asset, ZERO) - ours.get(asset, ZERO) for asset in sorted({*ours, *at_venue})}
        async with self._ledger.reading() as uow:
            booked = await uow.transfers.fills_so_far(self._ledger.account_id)
        found = [
            await _transfer(asset, amount, currency, self._feed, self._instruments, now, booked, principal.name, reason)
            for asset, amount in differ.items()
            if amount
        ]
        if not found:
            return ()
        async with self._ledger.writing() as entry:
            if entry.book.portfolio != before.portfolio:
                raise LedgerError("the account moved meanwhile", not_done="No transfer was booked", next_step="Try again")
            portfolio, risk = entry.book.portfolio, entry.book.risk_at(now)
            for transfer in found:
                portfolio = portfolio.after_transfer(transfer)
                await entry.uow.transfers.add(self._ledger.account_id, transfer)
                told = recorded(transfer, "asset", "amount", "value", "reason")
                subject = SubjectKind.ACCOUNT, self._ledger.account_id
                entry.tell(principal.name, AuditAction.TRANSFER_BOOKED, *subject, None, told, run_id="")
            moved = risk.transferred(portfolio.transferred - before.portfolio.transferred)
            entry.book = replace(entry.book, portfolio=portfolio, risk=moved)
        return tuple(found)


async def _transfer(
    asset: str,
    amount: Decimal,
    currency: str,
    feed: MarketFeed,
    instruments: Mapping[str, Instrument],
    now: datetime,
    fills_before: int,
    by: str,
    reason: str,
) -> Transfer:
    if asset == currency:
        return Transfer(asset, amount, amount, None, now, fills_before, by, reason)
    symbol = f"{asset}/{currency}"
    if symbol not in instruments:
        return Transfer(asset, amount, ZERO, None, now, fills_before, by, reason)
    ticker = await feed.ticker(symbol, as_of=now)
    if ticker is None:
        raise MarketDataUnavailable(f"no price for {symbol}, of which {amount} is to be booked", not_done="Nothing was booked")
    return Transfer(asset, amount, amount * ticker.last, symbol, now, fills_before, by, reason)
