"""What a venue tells of the key and of its clock, through ccxt."""

from __future__ import annotations

from trading_core.brokers.permissions import NOT_TOLD, KeyPermissions, is_unsupported, permissions_of
from trading_core.brokers.venues.asking import Asking
from trading_core.brokers.venues.client import Exchange
from trading_core.brokers.venues.errors import reading
from trading_core.brokers.venues.profile import VenueProfile
from trading_core.domain.clock import Clock, to_ms


async def key_permissions(profile: VenueProfile, exchange: Exchange, ask: Asking) -> KeyPermissions:
    """What the client's key may do.

    Args:
        ask: reads, as often as it takes.

    Raises:
        BrokerUnavailable: see `CcxtBroker.permissions`.
    """
    if not profile.key_endpoint:
        return NOT_TOLD
    with reading(profile.title, "the permissions of its key"):
        try:
            return permissions_of(profile.venue, await ask(getattr(exchange, profile.key_endpoint)))
        except Exception as error:
            if is_unsupported(error):
                return NOT_TOLD
            raise


async def clock_skew_ms(profile: VenueProfile, exchange: Exchange, clock: Clock) -> int | None:
    """By how much, at least, `clock` is ahead of the venue's; below zero when it is behind.

    The venue read its clock between the question and the answer (F. Cristian, "Probabilistic clock synchronization", 1989), and
    tells it in steps: only what lies outside of both is told, so that a slow line is not taken for a wrong clock.

    Raises:
        BrokerUnavailable: see `CcxtBroker.clock_skew_ms`.
    """
    if not exchange.has.get("fetchTime"):
        return None
    with reading(profile.title, "its time"):
        asked_at = to_ms(clock.now())
        begin = await exchange.fetch_time()
        end = begin + profile.clock_step_ms
        answered_at = to_ms(clock.now())
    return max(0, asked_at - end) or min(0, answered_at - begin)
