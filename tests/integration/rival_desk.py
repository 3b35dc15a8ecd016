"""A desk in a process of its own, which proposes and submits as fast as it can while another one does the same.

usage: python -m tests.integration.rival_desk

Each line of standard input is a `Job`. The process opens the ledger and the venue, prints `ready`, waits for a line, does all of
it at once, and prints what became of each leg.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict, dataclass
from decimal import Decimal

from tests.crash.http_broker import HttpBroker
from tests.crash.paper_venue import market
from tests.unit.desk_cases import ACCOUNT, LIMITS, OPERATOR, RUNNER, TRADER, buy
from tests.unit.paper_exchange import at
from trading_core.domain.clock import SimulatedClock
from trading_core.domain.orders import Order
from trading_core.execution.desk import Desk
from trading_core.execution.forms import WorkingStyle
from trading_core.persistence.session import Database
from trading_core.risk.limits_book import LimitsBook


@dataclass(frozen=True)
class Job:
    """What a rival wants.

    Attributes:
        location, url: of the ledger, and of the account at the venue.
        limits: those that are not wide open, as text.
        tells: whether each order's id is printed as soon as the desk has acknowledged it.
        at_once: how many legs are under way together.
        legs: one buy each of `quantity` BTC at up to `price`; a leg that both rivals have is the same intent.
    """

    location: str
    url: str
    limits: dict[str, str]
    legs: list[str]
    quantity: str
    price: str
    tells: bool = False
    at_once: int = 1_000

    def line(self) -> str:
        return json.dumps(asdict(self)) + "\n"


async def work(job: Job) -> dict[str, str]:
    clock, feed = SimulatedClock(at(1)), market()
    broker = HttpBroker(job.url, clock)
    limits = type(LIMITS).model_validate({**LIMITS.model_dump(), **job.limits})
    try:
        async with await Database.open(job.location) as database:
            desk = Desk(
                account_id=ACCOUNT,
                database=database,
                broker=broker,
                feed=feed,
                clock=clock,
                limits=LimitsBook(desk=limits),
                instruments=await feed.instruments(),
                principals={who.name: who for who in (TRADER, OPERATOR)},
            )
            await desk.sync(RUNNER)
            print("ready", flush=True)
            await asyncio.to_thread(sys.stdin.readline)

            turn = asyncio.Semaphore(job.at_once)

            async def leg(name: str) -> str:
                async with turn:
                    return await send(name)

            async def send(name: str) -> str:
                intent = buy(job.quantity, leg=name, limit_price=Decimal(job.price))
                await desk.propose(TRADER, intent)
                answer = await desk.submit(TRADER, intent.intent_id, WorkingStyle.NOW)
                if job.tells and isinstance(answer, Order):
                    print(answer.client_order_id, flush=True)
                return "sent" if isinstance(answer, Order) else " ".join(answer.reason_codes)

            return dict(zip(job.legs, await asyncio.gather(*map(leg, job.legs)), strict=True))
    finally:
        await broker.close()


def main() -> None:
    while line := sys.stdin.readline():
        print(json.dumps(asyncio.run(work(Job(**json.loads(line))))), flush=True)


if __name__ == "__main__":
    main()
