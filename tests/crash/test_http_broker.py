"""The line between the desk and the venue of the crash tests: it keeps the port's promises, also when it fails."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from tests.crash.http_broker import HttpBroker
from tests.crash.paper_venue import LinkFault
from tests.crash.worlds import Worlds
from tests.unit.conformance_broker import BrokerConformance, Venue
from tests.unit.paper_exchange import BTC, at, request
from trading_core.domain.clock import SimulatedClock
from trading_core.domain.errors import AmbiguousOutcome, BrokerUnavailable
from trading_core.domain.orders import OrderState


class TestHttpBroker(BrokerConformance):
    @pytest.fixture
    async def venue(self, worlds: Worlds) -> AsyncIterator[Venue]:
        clock = SimulatedClock(at(1))
        broker = HttpBroker(worlds.account(), clock)

        async def settle() -> None:
            await clock.sleep(60)

        yield Venue(broker, BTC, Decimal("0.5"), Decimal(50), at(0), settle)
        await broker.close()


@pytest.mark.parametrize("fault", LinkFault)
async def test_a_write_over_a_bad_line_is_ambiguous_and_a_read_tells_what_it_did(worlds: Worlds, fault: LinkFault) -> None:
    broker = HttpBroker(worlds.account({"place": [fault], "cancel": [fault]}), SimulatedClock(at(1)))
    with pytest.raises(AmbiguousOutcome, match="c1"):
        await broker.place(request("c1"))
    report = await broker.order("c1", BTC)
    assert (report is not None) is fault.executes
    await broker.place(request("c2"))
    with pytest.raises(AmbiguousOutcome, match="c2"):
        await broker.cancel("c2", BTC)
    report = await broker.order("c2", BTC)
    assert report is not None
    assert report.state is OrderState.OPEN
    assert ("cancel" in report.reason) is fault.executes
    await broker.close()


async def test_a_read_that_fails_is_not_an_empty_answer() -> None:
    broker = HttpBroker("http://127.0.0.1:9", SimulatedClock(at(1)))  # the port of "discard", where nobody listens
    for read in (broker.open_orders(), broker.balances(), broker.fills(since=at(0)), broker.order("c1", BTC)):
        with pytest.raises(BrokerUnavailable):
            await read
    await broker.close()
