"""Every route. A module here has a `router`; `ROUTERS` are those under `/api/v1`, `ROOT_ROUTERS` those beside it."""

from __future__ import annotations

from fastapi import APIRouter

from api.mcp.http import router as mcp_router
from api.routes import (
    accounts,
    agents,
    api_keys,
    approvals,
    audit,
    auth,
    brokers,
    channels,
    conversations,
    health,
    intents,
    limits,
    live,
    market,
    metrics,
    openai,
    orders,
    pauses,
    portfolio,
    proposals,
    risk,
    runs,
    schedules,
    users,
)

# They are tried in this order: what screens ask for again and again comes first.
ROUTERS: tuple[APIRouter, ...] = (
    portfolio.router,
    orders.router,
    risk.router,
    runs.router,
    auth.router,
    users.router,
    api_keys.router,
    accounts.router,
    intents.router,
    conversations.router,
    proposals.router,
    approvals.router,
    live.router,
    mcp_router,
    openai.router,
    schedules.router,
    agents.router,
    pauses.router,
    limits.router,
    market.router,
    channels.router,
    brokers.router,
    audit.router,
    health.router,
    metrics.router,
)

ROOT_ROUTERS: tuple[APIRouter, ...] = (health.root_router, metrics.root_router, openai.root_router)
