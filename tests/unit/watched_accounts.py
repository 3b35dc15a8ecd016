"""Accounts as a process has them open: any broker, watched."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from trading_core.brokers.base import Broker
from trading_core.brokers.breaker import Breaker, BreakerRules
from trading_core.brokers.health import OpenAccount
from trading_core.brokers.latency import Latencies
from trading_core.brokers.throttle import Throttle
from trading_core.brokers.watched import WatchedBroker


def watched(broker: Broker, monotonic: Callable[[], float] = time.monotonic, failures: int = 3) -> WatchedBroker:
    rules = BreakerRules(failures=failures, cooling=10, jitter=0)
    breaker = Breaker(monotonic=monotonic, jitter=random.Random(1), rules=rules)
    return WatchedBroker(broker, breaker=breaker, latencies=Latencies(monotonic=monotonic))


def account(
    account_id: str, broker: Broker, throttle: Throttle | None = None, monotonic: Callable[[], float] = time.monotonic
) -> OpenAccount:
    return OpenAccount(account_id, watched(broker, monotonic), throttle)
