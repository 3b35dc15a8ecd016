"""Opening an account at a venue: its keys from the store, one throttle for each account of the process, the adapter over both,
and the breaker that watches it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from trading_core.auth.permissions import Principal
from trading_core.brokers.breaker import Breaker
from trading_core.brokers.health import OpenAccount
from trading_core.brokers.latency import Latencies
from trading_core.brokers.throttle import Throttles
from trading_core.brokers.venues.broker import CcxtBroker
from trading_core.brokers.venues.client import Credentials, open_client
from trading_core.brokers.venues.profiles import profile_of
from trading_core.brokers.watched import WatchedBroker
from trading_core.domain.clock import Clock
from trading_core.domain.errors import ConfigurationError
from trading_core.persistence.repositories.broker_accounts import BrokerAccount
from trading_core.secrets.credentials import VenueCredentials


@dataclass(frozen=True, slots=True)
class BrokerFactory:
    """Opens accounts.

    Attributes:
        jitter: decides how long reads and breakers wait before the next try.
        monotonic: seconds that never step back, for latencies and breakers.
    """

    credentials: VenueCredentials
    throttles: Throttles
    clock: Clock
    jitter: random.Random
    monotonic: Callable[[], float]

    async def open(
        self, who: Principal, account: BrokerAccount, symbols: Sequence[str], *, history_from: datetime
    ) -> OpenAccount:
        """An account with its markets loaded. It becomes the caller's to close.

        Args:
            who: may use venue keys.
            symbols: what it trades.
            history_from: nothing before it is read: when the account became the desk's.

        Raises:
            NotPermitted: `who` may not use keys.
            ConfigurationError: no keys are stored, a part of them is missing, or the venue has no sandbox.
            BrokerUnavailable: the venue is out of reach, or does not list a symbol.
        """
        made = await self.make(who, account, symbols, history_from=history_from)
        try:
            await made.broker.instruments()
        except BaseException:
            await made.broker.close()
            raise
        return made

    async def make(
        self, who: Principal, account: BrokerAccount, symbols: Sequence[str], *, history_from: datetime
    ) -> OpenAccount:
        """The same, without having asked the venue for anything.

        Raises:
            NotPermitted, ConfigurationError: as above.
        """
        profile = profile_of(account.venue)
        keys = await self.credentials.get(who, account.venue, account.id)
        if keys is None:
            raise ConfigurationError(
                f"no keys are stored for {profile.title}, account {account.id!r}",
                not_done="The account was not opened",
                next_step=f"`algotrendy credentials put {account.venue} {account.id}`",
            )
        passphrase = keys.passphrase.get_secret_value() if keys.passphrase else ""
        throttle = self.throttles.of(account.venue, account.id, per_second=profile.per_second, burst=profile.burst)
        client = open_client(
            profile,
            Credentials(keys.api_key.get_secret_value(), keys.secret.get_secret_value(), passphrase),
            throttle,
            sandbox=not account.production and account.url is None,
            base_url=account.url,
        )
        broker = CcxtBroker(
            profile,
            client,
            symbols,
            clock=self.clock,
            history_from=history_from,
            jitter=self.jitter,
            is_paper=not account.production,
        )
        breaker = Breaker(monotonic=self.monotonic, jitter=self.jitter)
        watched = WatchedBroker(broker, breaker=breaker, latencies=Latencies(monotonic=self.monotonic))
        return OpenAccount(account.id, watched, throttle)
