"""The paper exchange keeps the broker port's promises."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from tests.unit.conformance_broker import BrokerConformance, Venue
from tests.unit.feeds import flat
from tests.unit.paper_exchange import BTC, at, exchange


class TestPaperBroker(BrokerConformance):
    @pytest.fixture
    async def venue(self) -> AsyncIterator[Venue]:
        async with exchange([flat(i) for i in range(10)], half_spread="0.0001") as x:

            async def settle() -> None:
                await x.clock.sleep(60)

            yield Venue(x.broker, BTC, Decimal("0.5"), Decimal(50), at(0), settle)
