"""An operator's hand on the desk: halt, only exits, resume, and the kill switch.

It needs the ledger and no venue, so it works while another process is at work on the account: the gate reads the state inside
the transaction that writes an order down, and the next one is judged by it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal

from trading_core.auth.permissions import Action, Principal
from trading_core.domain.clock import Clock
from trading_core.domain.errors import InvalidInput
from trading_core.execution.risk_record import load_risk, save_risk
from trading_core.persistence.session import Database
from trading_core.risk.state import AccountRisk, Withdrawal

LONGEST_REASON = 500


class Control:
    """The trading state of one account. Each change is kept with who made it and why, and outlives every process.

    Every method raises:
        NotPermitted: the principal may not control risk on this account.
        InvalidInput: there is no reason, or it is longer than `LONGEST_REASON` characters.
        LedgerError: the account is not on record.
    """

    def __init__(self, account_id: str, database: Database, clock: Clock) -> None:
        self._account_id, self._database, self._clock = account_id, database, clock

    async def halt(self, principal: Principal, reason: str) -> AccountRisk:
        """Nothing trades any more. What works at the venue goes on working; the core still places protective stops."""
        return await self._change(principal, reason, lambda risk, why, now: risk.halted(principal.name, why, now))

    async def kill(self, principal: Principal, reason: str, *, stops_too: bool = False) -> AccountRisk:
        """Halt, and have every live order taken back at the next sync of whoever has the venue, which is at once where that
        is this process.

        Args:
            stops_too: protective stops as well, and no new ones are placed: holdings stand bare until somebody resumes.
        """
        asked = Withdrawal.ALL if stops_too else Withdrawal.WORKING
        return await self._change(principal, reason, lambda risk, why, now: risk.halted(principal.name, why, now, asked))

    async def reduce(self, principal: Principal, reason: str) -> AccountRisk:
        """Only exits pass the gate."""
        return await self._change(principal, reason, lambda risk, why, now: risk.reduced(principal.name, why, now))

    async def resume_trading(self, principal: Principal, reason: str, prices: Mapping[str, Decimal]) -> AccountRisk:
        """Trade again. Losses count anew from what the account is worth at `prices` (quote per base, by symbol).

        Raises:
            MarketDataUnavailable: a holding has no price, so its worth is unknown; the state was not changed.
        """
        why = self._allowed(principal, reason)
        async with self._database.transaction() as uow:
            await uow.claims.take(self._account_id)  # what is changed is what the desk wrote last, not what it is writing over
            now = self._clock.now()
            before = await load_risk(uow, self._account_id, now)
            equity = (await uow.portfolios.load(self._account_id)).equity(prices)
            after = before.resumed(principal.name, why, equity, now)
            await save_risk(uow, self._account_id, before, after, now)
            return after

    async def _change(
        self, principal: Principal, reason: str, move: Callable[[AccountRisk, str, datetime], AccountRisk]
    ) -> AccountRisk:
        why = self._allowed(principal, reason)
        async with self._database.transaction() as uow:
            await uow.claims.take(self._account_id)  # what is changed is what the desk wrote last, not what it is writing over
            now = self._clock.now()
            before = await load_risk(uow, self._account_id, now)
            after = move(before, why, now)
            await save_risk(uow, self._account_id, before, after, now)
            return after

    def _allowed(self, principal: Principal, reason: str) -> str:
        principal.require(Action.CONTROL_RISK, self._account_id)
        why = reason.strip()
        if not why or len(why) > LONGEST_REASON:
            raise InvalidInput(
                "a change of the trading state needs a reason" if not why else f"the reason has {len(why)} characters",
                not_done="The state was not changed",
                next_step=f"Say why, in at most {LONGEST_REASON} characters",
            )
        return why
