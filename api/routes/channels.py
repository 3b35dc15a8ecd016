"""Sources of readings beside the market: how each stands, and what they said last."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import TypeAdapter

from api.http.dependencies import OnAccount, State, on_account
from api.http.shared_route import SharedRoute
from api.schemas.channels import ChannelOut, ChannelsOut, ReadingOut, SourceOut
from api.services.marks import PricedBy
from data_channels.status import SourceStatus
from graph.system import TradingSystem
from trading_core.auth.permissions import Action
from trading_core.domain.market import ChannelReport

router = APIRouter(prefix="/accounts/{account}", tags=["channels"], route_class=SharedRoute)

_REPORTS = TypeAdapter(dict[str, ChannelReport])


@router.get("/channels", summary="Read how an account's sources stand and what they said last")
async def list_channels(
    state: State,
    on: Annotated[OnAccount, on_account(Action.READ_CHANNELS)],
    symbol: Annotated[str | None, Query(max_length=41, description="Only of this symbol.", examples=["BTC/USDT"])] = None,
) -> ChannelsOut:
    """From the desk in this process; elsewhere what the account's last cycle knew, without the state of the sources. Readings are
    numbers: no text from outside is passed on."""
    system = state.desks.get(on.account_id)
    if system is not None:
        return await _heard(system, symbol)
    async with state.database.reading() as uow:
        last = await uow.pages.last_snapshot(on.account_id)
        record = None if last is None else await uow.snapshots.get(last)
    if record is None:
        return ChannelsOut(told_by=None, as_of=None, sources=[], channels=[])
    reports = _REPORTS.validate_python(record.content["channels"])
    shown = [_channel(report) for _, report in sorted(reports.items()) if symbol in (None, report.symbol)]
    return ChannelsOut(told_by=PricedBy.LAST_RUN, as_of=record.as_of, sources=[], channels=shown)


async def _heard(system: TradingSystem, symbol: str | None) -> ChannelsOut:
    now = system.clock.now()
    symbols = [name for name in system.config.symbols if symbol in (None, name)]
    asked = [channel.report(name, as_of=now) for channel in system.channels for name in symbols]
    reports = await asyncio.gather(*asked)
    sources = system.hub.statuses() if system.hub is not None else ()
    return ChannelsOut(
        told_by=PricedBy.DESK,
        as_of=now,
        sources=[_source(one) for one in sources],
        channels=[_channel(report) for report in sorted(reports, key=lambda report: (report.kind, report.symbol))],
    )


def _channel(report: ChannelReport) -> ChannelOut:
    return ChannelOut(
        kind=report.kind,
        symbol=report.symbol,
        state=report.state,
        reason=report.reason,
        readings=[ReadingOut.model_validate(reading) for reading in report.readings],
    )


def _source(one: SourceStatus) -> SourceOut:
    counts = one.metrics
    return SourceOut(
        source=one.source,
        kind=one.kind,
        state=one.state,
        reason=one.reason,
        age=one.age,
        last_error=one.last_error,
        last_error_at=one.last_error_at,
        next_ask_at=one.next_ask_at,
        breaker=one.breaker,
        asked=counts.asked,
        answered=counts.answered,
        failed=counts.failed,
        readings=counts.readings,
        rejected=counts.rejected,
    )
