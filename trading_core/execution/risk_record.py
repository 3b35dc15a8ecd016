"""What the loss limits remember of an account, as the ledger keeps it."""

from __future__ import annotations

from datetime import datetime

from pydantic import TypeAdapter

from trading_core.audit.entry import AuditAction, AuditEntry, SubjectKind, recorded
from trading_core.persistence.records import RiskStateChange
from trading_core.persistence.unit_of_work import UnitOfWork
from trading_core.risk.state import AccountRisk, TradingState, Withdrawal

_RISK = TypeAdapter(AccountRisk)
_ACTIONS = {
    TradingState.ACTIVE: AuditAction.RISK_RESUMED,
    TradingState.REDUCING: AuditAction.RISK_REDUCED,
    TradingState.HALTED: AuditAction.RISK_HALTED,
}


async def stored_risk(uow: UnitOfWork, account_id: str) -> AccountRisk | None:
    """The account's risk state; None for an account that has none yet."""
    content = await uow.risk.load(account_id)
    return None if content is None else _RISK.validate_python(content)


async def load_risk(uow: UnitOfWork, account_id: str, now: datetime) -> AccountRisk:
    """The account's risk state; of an account that has none yet, that of one opened at `now` with what was paid in.

    Raises:
        LedgerError: the account is not on record.
    """
    known = await stored_risk(uow, account_id)
    return known or AccountRisk.opened((await uow.portfolios.load(account_id)).paid_in, now)


async def save_risk(uow: UnitOfWork, account_id: str, before: AccountRisk, after: AccountRisk, now: datetime) -> None:
    """Keep what changed, and a line of history for each decision about the trading state, the same state again included."""
    await uow.risk.save(account_id, _RISK.dump_python(after, mode="json"), now)
    if _decision(before) != _decision(after):
        states = (before.trading_state.value, after.trading_state.value)
        await uow.risk.change(RiskStateChange(account_id, *states, after.changed_by, after.reason, now))
        was, is_now = (recorded(risk, "trading_state", "withdrawal", "reason") for risk in (before, after))
        subject = SubjectKind.ACCOUNT, account_id
        await uow.audit.append(AuditEntry(now, after.changed_by, _action(after), *subject, was, is_now))


def _action(after: AccountRisk) -> AuditAction:
    if after.withdrawal is not Withdrawal.NONE:
        return AuditAction.RISK_KILLED
    return _ACTIONS[after.trading_state]


def _decision(risk: AccountRisk) -> tuple[object, ...]:
    return risk.trading_state, risk.withdrawal, risk.changed_by, risk.changed_at, risk.reason
