"""Opening an account at a venue: its keys from the store, one throttle for each account of the process, the adapter over both."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from trading_core.auth.permissions import Principal
from trading_core.brokers.ccxt_broker import CcxtBroker
from trading_core.brokers.ccxt_client import Credentials, open_client
from trading_core.brokers.throttle import Throttles
from trading_core.brokers.venues import profile_of
from trading_core.domain.clock import Clock
from trading_core.domain.errors import ConfigurationError
from trading_core.persistence.repositories.broker_accounts import BrokerAccount
from trading_core.secrets.credentials import VenueCredentials


@dataclass(frozen=True, slots=True)
class BrokerFactory:
    """Opens accounts.

    Attributes:
        jitter: decides how long reads wait before they are tried again.
    """

    credentials: VenueCredentials
    throttles: Throttles
    clock: Clock
    jitter: random.Random

    async def open(self, who: Principal, account: BrokerAccount, symbols: Sequence[str], *, history_from: datetime) -> CcxtBroker:
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
        profile = profile_of(account.venue)
        keys = await self.credentials.get(who, account.venue, account.id)
        if keys is None:
            raise ConfigurationError(
                f"no keys are stored for {profile.title}, account {account.id!r}",
                not_done="The account was not opened",
                next_step=f"`algotrendy credentials put {account.venue} {account.id}`",
            )
        client = open_client(
            profile,
            Credentials(
                keys.api_key.get_secret_value(),
                keys.secret.get_secret_value(),
                keys.passphrase.get_secret_value() if keys.passphrase else "",
            ),
            self.throttles.of(account.venue, account.id, per_second=profile.per_second, burst=profile.burst),
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
        try:
            await broker.open()
        except BaseException:
            await broker.close()
            raise
        return broker
