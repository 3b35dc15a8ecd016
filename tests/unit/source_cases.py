"""What every source over HTTP has to stand, against a real local server."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

import pytest

from data_channels.base import Source
from tests.channels import faults
from tests.channels.faults import Fault
from tests.channels.server import ServiceServer
from trading_core.domain.errors import ChannelRefused, ChannelUnavailable
from trading_core.domain.market import Reading

KEY = "k3y-that-nobody-may-see"
TIMEOUT = 0.4
EVERY_FAULT = [*faults.REFUSALS, *faults.OUTAGES, faults.rate_limited("30"), faults.slow(2 * TIMEOUT)]


class HttpSource(Source, Protocol):
    """A source that counts its requests."""

    @property
    def requests(self) -> int: ...


def recorded(shared_data: Path, name: str) -> dict[str, object]:
    """The documented or recorded answers of a service, by path."""
    path = shared_data / "channels" / f"{name}.json"
    if not path.is_file():
        pytest.skip(f"the recorded answers of {name} are not here")
    examples = json.loads(path.read_text(encoding="utf-8"))["examples"]
    assert isinstance(examples, dict)
    return examples


async def stands(
    fault: Fault,
    server: ServiceServer,
    make: Callable[[], HttpSource],
    symbols: Sequence[str],
    now: datetime,
    *,
    path: str | None = None,
) -> None:
    """The fault is told as what it is, without the key, is not asked again by the source itself, and the next round is good.

    Args:
        path: of the requests that are spoilt; None for all.
    """
    source = make()
    try:
        server.spoil(fault, path=path)
        error = ChannelRefused if fault in faults.REFUSALS else ChannelUnavailable
        before = source.requests
        with pytest.raises(error) as raised:
            await source.fetch(symbols, now=now)
        assert raised.value.what.startswith(source.name)
        assert KEY not in str(raised.value)
        assert path is not None or source.requests == before + 1
        if isinstance(raised.value, ChannelUnavailable):
            assert raised.value.retry_after == (30 if "Retry-After" in fault.name else None)
        server.mend()
        readings = await source.fetch(symbols, now=now)
        assert readings
        check(readings, source, symbols, now)
    finally:
        await source.close()


def check(readings: Sequence[Reading], source: Source, symbols: Sequence[str], now: datetime) -> None:
    """What holds for every reading of every source."""
    for reading in readings:
        assert reading.source == source.name
        assert reading.symbol in symbols
        assert reading.observed_at <= reading.published_at <= now
        assert reading.observed_at.tzinfo is not None
        assert reading.value.is_finite()
        assert 0 <= reading.quality <= 1
    assert len({(reading.symbol, reading.name) for reading in readings}) == len(readings)
