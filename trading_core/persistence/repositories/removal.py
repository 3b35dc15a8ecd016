"""Taking a simulation out of a ledger that others share, so that it can be done again from its start."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Table, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from trading_core.domain.errors import LedgerError
from trading_core.persistence.desk_tables import (
    agent_settings,
    conversations,
    messages,
    pauses,
    proposals,
    run_events,
    run_requests,
    schedules,
)
from trading_core.persistence.tables import (
    account_risk,
    accounts,
    approvals,
    balances,
    decisions,
    evidence,
    fees,
    fills,
    intents,
    order_events,
    orders,
    portfolio_snapshots,
    positions,
    risk_decisions,
    risk_state_changes,
    runs,
    sessions,
    transfers,
)


async def remove(connection: AsyncConnection, session_id: str, account_id: str) -> bool:
    """Delete a session, its runs, and the account that only it traded on. False when there is no such session.

    Snapshots stay: they are kept under their hash, for whoever else knows the same. So does the audit trail.

    Raises:
        LedgerError: another session traded on the account.
    """
    if (await connection.execute(select(sessions.c.id).where(sessions.c.id == session_id))).first() is None:
        return False
    others = select(runs.c.id).where(runs.c.account_id == account_id, runs.c.session_id.is_distinct_from(session_id)).limit(1)
    if (await connection.execute(others)).first() is not None:
        raise LedgerError(
            f"not only session {session_id!r} trades on account {account_id!r}",
            not_done="Nothing was removed",
            next_step="Remove sessions that have an account of their own",
        )
    for table, which in _rows(session_id, account_id):
        await connection.execute(delete(table).where(which))
    return True


def _rows(session_id: str, account_id: str) -> list[tuple[Table, ColumnElement[bool]]]:
    """What refers to something first."""
    mine = select(runs.c.id).where(runs.c.session_id == session_id)
    sent = select(orders.c.client_order_id).where(orders.c.account_id == account_id)
    wanted = select(intents.c.intent_id).where(intents.c.run_id.in_(mine))
    said = select(conversations.c.id).where(conversations.c.account_id == account_id)
    held = (
        *(transfers, positions, balances, fees, account_risk, risk_state_changes),
        *(run_events, proposals, conversations, schedules, pauses, agent_settings),
    )
    return [
        (run_requests, run_requests.c.run_id.in_(mine)),
        (messages, messages.c.conversation_id.in_(said)),
        (fills, fills.c.account_id == account_id),
        (order_events, order_events.c.client_order_id.in_(sent)),
        (orders, orders.c.account_id == account_id),
        (approvals, approvals.c.intent_id.in_(wanted)),
        (risk_decisions, risk_decisions.c.intent_id.in_(wanted)),
        *((table, table.c.run_id.in_(mine)) for table in (intents, portfolio_snapshots, evidence, decisions)),
        (runs, runs.c.session_id == session_id),
        *((table, table.c.account_id == account_id) for table in held),
        (accounts, accounts.c.id == account_id),
        (sessions, sessions.c.id == session_id),
    ]
