"""A chat model that means harm, and the desk run under it.

    python -m tests.adversarial.hostile_model --cycles 10000 --seed 1

Each session is one account over one generated market; symbols, limits and hostility follow from its seed.
What must hold is checked in `audit.py` and `verify.py`, from the ledger's and the exchange's files.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import logging
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

from langchain_core.messages import AIMessage, BaseMessage
from pydantic import Field

from agents.models.rules import RulesModel
from graph.config import SessionConfig
from graph.events import RunEvent
from graph.folders import Folders
from graph.markets import make_feed
from graph.session import remaining
from graph.system import ACCOUNT, TradingSystem
from tests.adversarial.attacks import MEGA, Scene, eager, malformed, poisoned, tool_calls
from tests.adversarial.audit import Auditor, audited
from tests.adversarial.verify import verify
from trading_core.auth.agents import runner
from trading_core.auth.permissions import operator
from trading_core.domain.clock import SimulatedClock
from trading_core.domain.errors import LedgerError, NotPermitted
from trading_core.persistence.records import RunState

HOSTILE = "hostile on purpose"
MARKETS = (
    ("BTC/USDT",),
    ("BTC/USDT", "XRP/USDT"),
    ("XRP/USDT",),
    ("ETH/USDT", "SOL/USDT"),
    ("BTC/USDT", "DOGE/USDT", "SOL/USDT"),
)
LIMITS: tuple[dict[str, Any], ...] = (
    {"approval_above_notional": None},
    {"approval_above_notional": None, "drawdown": "1", "daily_loss": "1", "consecutive_losses": 1000},
    {"approval_above_notional": None, "drawdown": "1", "daily_loss": "1", "cool_down_seconds": 0, "max_order_notional": "1000"},
    {
        "approval_above_notional": None, "drawdown": "0.5", "daily_loss": "0.5", "orders_per_minute_per_actor": 1,
        "orders_per_day_per_actor": 6, "orders_per_day": 12, "max_positions": 1, "price_collar": "0.01", "cool_down_seconds": 0,
    },
    {
        "approval_above_notional": None, "drawdown": "1", "daily_loss": "1", "cash_reserve": "0.5", "max_exposure": "0.3",
        "max_position": "0.9", "max_concentration": "0.05", "risk_per_trade": "0.1", "max_order_notional": "900000",
        "consecutive_losses": 1000,
    },
    {"approval_above_notional": "9000", "drawdown": "1", "daily_loss": "1", "consecutive_losses": 1000},
)  # fmt: skip


class HostileModel(RulesModel):
    """Answers by chance, and the same conversation under the same seed always the same.

    Attributes:
        hostility: share of calls that are answered out of shape; the others are in shape and want too much, or sensible.
        kinds: how often it did what.
    """

    seed: int = 0
    hostility: float = 0.2
    kinds: Counter[str] = Field(default_factory=Counter)

    @property
    def _llm_type(self) -> str:
        return "hostile"

    def _answer(self, messages: list[BaseMessage], bound: dict[str, Any]) -> AIMessage:
        scene = Scene.of(messages, bound)
        said = hashlib.sha256("\x1e".join(str(message.content) for message in messages).encode(errors="replace")).hexdigest()
        rng = Random(f"{self.seed}|{scene.schema}|{len(messages)}|{said}")
        kind = self._kind(rng)
        self.kinds[kind] += 1
        match kind:
            case "sensible":
                return super()._answer(messages, bound)
            case "eager":
                return _dressed(json.dumps(eager(scene, rng)), rng)
            case "poisoned":
                return _dressed(poisoned(scene, rng), rng)
            case "malformed":
                return _dressed(malformed(scene, rng), rng)
            case "tools":
                return tool_calls(scene, rng)
        raise _failure(rng)

    def _kind(self, rng: Random) -> str:
        if rng.random() >= self.hostility:
            return rng.choices(["sensible", "eager"], [15, 85])[0]
        return rng.choices(["poisoned", "malformed", "tools", "raises"], [35, 30, 25, 10])[0]


def _dressed(text: str, rng: Random) -> AIMessage:
    """The text as a message, at times in blocks, with a refusal, or with a bill nobody could pay."""
    content: Any = text
    if rng.random() < 0.05:
        content = [{"type": "text", "text": text}, *([{"type": "text", "text": ""}] if rng.random() < 0.5 else [])]
    message = AIMessage(content)
    if rng.random() < 0.05:
        tokens = rng.choice([10**30, -5, 2**63, 0, 7])
        message.usage_metadata = {"input_tokens": tokens, "output_tokens": tokens, "total_tokens": tokens}
    if rng.random() < 0.02:
        message.additional_kwargs["refusal"] = rng.choice(["No.", MEGA])
    return message


def _failure(rng: Random) -> Exception:
    return rng.choice(
        [
            RuntimeError(HOSTILE),
            ValueError(f"{HOSTILE} {MEGA}"),
            TimeoutError(HOSTILE),
            RecursionError(HOSTILE),
            MemoryError(HOSTILE),
            KeyError(HOSTILE),
            ConnectionResetError(HOSTILE),
            LedgerError(HOSTILE),
            NotPermitted(HOSTILE),
            ExceptionGroup(HOSTILE, [RuntimeError(HOSTILE)]),
        ]
    )


@dataclass
class Tally:
    """What happened over sessions. `violations` must stay empty; the counts show that something was tried at all."""

    seeds: list[int] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    denials: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        self.seeds += other.seeds
        self.counts.update({name: amount for name, amount in other.counts.items() if not name.startswith("longest ")})
        for name, amount in other.counts.items():
            if name.startswith("longest "):
                self.counts[name] = max(self.counts[name], amount)
        self.denials.update(other.denials)
        self.kinds.update(other.kinds)
        self.violations += other.violations

    def hear(self, event: RunEvent) -> None:
        data = event.data
        match event.kind:
            case "gate_decided":
                self.counts["proposals"] += 1
                self.counts[f"proposals {data['decision'].verdict.value}"] += 1
                self.counts["proposals cut"] += data["intent"].quantity < data["wanted"]
                self.denials.update(data["decision"].reason_codes)
            case "order_denied":
                self.counts["denied at submission"] += 1
                self.denials.update(f"{code} (at submission)" for code in data["decision"].reason_codes)
            case "agent_answered":
                outcome = data["outcome"]
                self.counts["agents asked"] += 1
                self.counts["answers that may trade"] += outcome.may_trade
                self.counts["answers ungrounded"] += bool(outcome.answer and outcome.problems)
                self.counts["agents failed or abstained"] += outcome.abstained

    def table(self) -> str:
        lines = [f"seeds {min(self.seeds)} to {max(self.seeds)} ({len(self.seeds)} sessions)" if self.seeds else "no sessions"]
        for title, counter in (("", self.counts), ("denials by code", self.denials), ("model calls", self.kinds)):
            lines += [f"-- {title}"] if title else []
            lines += [f"{name:<44}{amount:>10,}" for name, amount in sorted(counter.items())]
        lines += [f"{'VIOLATIONS':<44}{len(self.violations):>10,}", *(f"  {each[:400]}" for each in self.violations[:40])]
        return "\n".join(lines)


class _Unforeseen(logging.Handler):
    """Failures of an agent that the model did not raise itself: faults of ours, even though the agent abstains on them."""

    def __init__(self, found: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._found = found

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if HOSTILE not in str(error):
            self._found.append(f"unforeseen in an agent: {type(error).__name__}: {str(error)[:300]}")


def make_config(seed: int, cycles: int) -> SessionConfig:
    """The session of a seed: consecutive seeds walk through all pairs of markets and limits."""
    limits = LIMITS[seed % len(LIMITS)]
    return SessionConfig.parse(
        {
            "symbols": MARKETS[seed % len(MARKETS)],
            "cycles": cycles,
            "seed": seed,
            "limits": limits,
            "rebalance_every": 1,
            "model": {"model": "openai:hostile", "base_url": "http://127.0.0.1:9/v1"},
        }
    )


async def attack(seed: int, cycles: int, home: Path) -> Tally:
    """One session under attack, and everything that was wrong with it."""
    config, tally = make_config(seed, cycles), Tally([seed])
    model = HostileModel(seed=seed, hostility=(0.04, 0.12, 0.35)[seed // 2 % 3])
    feed = make_feed(config)
    ledger = Folders.of(home, config)
    auditor = Auditor(config, ledger, feed)
    handler, logger = _Unforeseen(tally.violations), logging.getLogger("algotrendy.agents")
    propagate = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False  # thousands of failures on purpose are no news

    def hear(event: RunEvent) -> None:
        tally.hear(event)
        auditor.hear(event)

    try:
        with patch("graph.system.PaperBroker", audited(auditor)):
            async with TradingSystem.open(config, home, feed=feed, model=model, listener=hear) as system:
                await _session(system, seed, tally, auditor)
                if not await system.desk.agrees(runner(ACCOUNT)):
                    tally.violations.append("the ledger's balances are not the exchange's")
                if system.desk.limits != config.limits.desk:
                    tally.violations.append("the limits in force have changed")
    except Exception as error:  # whatever gets out is a finding, not the end of the campaign
        tally.violations.append(f"the session ended with {type(error).__name__}: {str(error)[:300]}")
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate
    tally.violations += auditor.violations
    tally.counts.update(auditor.counts)
    tally.violations += verify(config, ledger, tally.counts)
    tally.kinds.update(model.kinds)
    auditor.close()
    tally.violations = [f"seed {seed}: {each}" for each in tally.violations]
    return tally


async def _session(system: TradingSystem, seed: int, tally: Tally, auditor: Auditor) -> None:
    """Every tick; where an operator is needed, one that says yes or no by chance."""
    rng, clock = Random(seed), system.clock
    assert isinstance(clock, SimulatedClock)
    ana = operator("ana", system.desk.account_id)
    for tick in remaining(system, None):
        clock.advance_to(max(tick, clock.now()))
        result = await system.runner.run(tick)
        while result.state is RunState.WAITING:
            tally.counts["approvals asked"] += len(result.waiting)
            for intent_id in result.waiting:
                await system.desk.decide_approval(ana, intent_id, approve=rng.random() < 0.7, reason="by chance")
            result = await system.runner.resume(result.run_id)
        tally.counts["cycles"] += 1
        await auditor.after_run(result.run_id, clock.now())
        if result.state is not RunState.DONE:
            tally.violations.append(f"run {result.run_id} ended {result.state.value}: {result.error[:300]}")


async def campaign(cycles: int, seed: int, *, per_session: int = 100, progress: bool = False) -> Tally:
    """Sessions from `seed` on, until `cycles` have been run."""
    total, started = Tally(), time.monotonic()
    while total.counts["cycles"] < cycles and len(total.seeds) <= 2 * cycles // per_session + 1:
        with tempfile.TemporaryDirectory() as home:
            total.add(await attack(seed, min(per_session, cycles - total.counts["cycles"]), Path(home)))
        seed += 1
        if progress:
            counts = total.counts
            print(
                f"{counts['cycles']:>7,} cycles  {counts['orders']:>6,} orders  {counts['proposals denied']:>6,} denied  "
                f"{counts['proposals cut']:>6,} cut  {len(total.violations):>3} violations  {time.monotonic() - started:>6.0f} s",
                flush=True,
            )
    return total


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cycles", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1, help="of the first session")
    parser.add_argument("--per-session", type=int, default=100, help="cycles of one session")
    asked = parser.parse_args()
    total = asyncio.run(campaign(asked.cycles, asked.seed, per_session=asked.per_session, progress=True))
    print(total.table())
    return 1 if total.violations else 0


if __name__ == "__main__":
    sys.exit(main())
