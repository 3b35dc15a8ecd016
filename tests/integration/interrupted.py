"""A process in the middle of everything: one run waits for an operator, another waits for its model, an order is on its way, and
trading is halted. It says so, and then is killed or ends by itself when its input does.

usage: python -m tests.integration.interrupted HOME [DATABASE]
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from langchain_core.outputs import ChatResult
from pydantic import PrivateAttr

from agents.models.rules import RulesModel
from graph.config import SessionConfig
from graph.system import TradingSystem
from tests.integration.worlds import ENTRY, config, entry_feed
from trading_core.auth.agents import agent
from trading_core.auth.permissions import operator
from trading_core.domain.intents import TradeIntent, Verdict, make_intent_id
from trading_core.domain.orders import Order, OrderState, OrderType, Purpose, Side
from trading_core.execution.control import Control
from trading_core.execution.forms import WorkingStyle
from trading_core.persistence.records import RunState

_WORTH = Decimal(600)
SYMBOL, NEXT = "BTC/USDT", ENTRY + timedelta(seconds=5)


def settings() -> SessionConfig:
    """What the rules want at `ENTRY` needs an approval, and is not at the edge of a limit; what `wanted` is worth needs none."""
    return config(limits={"approval_above_notional": "1000", "max_position": "0.3"})


def wanted(system: TradingSystem, price: Decimal, symbol: str = SYMBOL) -> TradeIntent:
    """A small buy of the run at `NEXT`, near the market, with its stop."""
    run_id, instrument = system.runner.run_id(NEXT), system.desk.instruments[symbol]
    return TradeIntent(
        intent_id=make_intent_id(run_id, Purpose.ENTRY, symbol, f"at {system.clock.now()}"),
        run_id=run_id,
        account_id=system.desk.account_id,
        proposer=agent("risk", system.desk.account_id).name,
        purpose=Purpose.ENTRY,
        symbol=symbol,
        side=Side.BUY,
        quantity=instrument.floor_quantity(_WORTH / price),
        type=OrderType.LIMIT,
        created_at=system.clock.now(),
        limit_price=instrument.ceil_price(price * Decimal("1.002")),
        stop_price=instrument.floor_price(price * Decimal("0.95")),
    )


class Stuck(RulesModel):
    """The rules, until it is told to keep everybody waiting."""

    stuck: bool = False
    _asked: asyncio.Event = PrivateAttr(default_factory=asyncio.Event)

    async def waits(self) -> None:
        """Return when somebody is kept waiting."""
        await self._asked.wait()

    async def _agenerate(self, *arguments: Any, **more: Any) -> ChatResult:
        if self.stuck:
            self._asked.set()
            await asyncio.Event().wait()
        return await super()._agenerate(*arguments, **more)


async def main(home: Path, database: str | None) -> None:
    model = Stuck()
    async with TradingSystem.open(settings(), home, feed=entry_feed(), at=ENTRY, model=model, database=database) as system:
        account = system.desk.account_id
        assert (await system.runner.run(ENTRY)).state is RunState.WAITING
        model.stuck = True
        await system.clock.sleep((NEXT - ENTRY).total_seconds())
        hanging = asyncio.create_task(system.runner.run(NEXT))
        await model.waits()
        ticker = await system.feed.ticker(SYMBOL, as_of=NEXT)
        assert ticker is not None
        intent = wanted(system, ticker.last)
        decision = await system.desk.propose(agent("risk", account), intent)
        assert decision.verdict is Verdict.APPROVED, decision.reason_codes
        sent = await system.desk.submit(agent("execution", account), intent.intent_id, WorkingStyle.NOW)
        assert isinstance(sent, Order)
        assert sent.state is OrderState.OPEN
        await Control(account, system.database, system.clock).halt(operator("olga", account), "for the test")
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)
        hanging.cancel()
        with suppress(asyncio.CancelledError):
            await hanging


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None))
