"""What an error of ccxt's means for a write: the venue provably said no, or nobody knows.

For reads there is nothing to tell apart: whatever failed is `BrokerUnavailable`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import Enum
from http import HTTPStatus

from trading_core.brokers.throttle import HeldOff
from trading_core.domain.errors import AmbiguousOutcome, BrokerError, BrokerUnavailable, OrderRefused

last_status: ContextVar[int | None] = ContextVar("last_status", default=None)
"""HTTP status of the answer to the call under way in this task; None before any came."""


class Outcome(Enum):
    REFUSED = "refused"
    AMBIGUOUS = "ambiguous"


_NO, _OPEN = Outcome.REFUSED, Outcome.AMBIGUOUS

OUTCOMES: dict[str, tuple[Outcome, str]] = {
    # The venue judged the order and would not have it.
    "InsufficientFunds": (_NO, "the account cannot pay for it"),
    "InvalidOrder": (_NO, "the venue's filters or rules reject it; also the class of a client id that is in use"),
    "BadRequest": (_NO, "a field is wrong; Binance's NOTIONAL filter comes so"),
    "OperationRejected": (_NO, "the market is closed, or the venue or the region does not allow it"),
    # The venue turned the caller away before it looked at the order.
    "AuthenticationError": (_NO, "key, signature, address or permission was not accepted"),
    "InvalidNonce": (_NO, "the time or nonce of the request was not accepted, which is checked before anything is done"),
    # ccxt did not send it.
    "ArgumentsRequired": (_NO, "ccxt lacks an argument and has sent nothing"),
    "NotSupported": (_NO, "ccxt cannot do this at this venue and has sent nothing"),
    "ExchangeClosedByUser": (_NO, "the client was closed and has sent nothing"),
    "InvalidProxySettings": (_NO, "ccxt cannot use its proxy settings and has sent nothing"),
    # Anything may have happened.
    "ExchangeError": (
        _OPEN,
        "no class of its own: a code ccxt does not know, or a body that broke off (`aiohttp.ClientError`)",
    ),
    "OperationFailed": (_OPEN, "the venue failed in the middle of it"),
    "NetworkError": (_OPEN, "the answer did not come"),
    "RequestTimeout": (_OPEN, "the answer did not come in time; Binance -1007 says so of the matching engine"),
    "ExchangeNotAvailable": (_OPEN, "a gateway or the venue was down: before or after the order went through"),
    "OnMaintenance": (_OPEN, "the venue closed, perhaps with the order in it"),
    "DDoSProtection": (_OPEN, "a rate limit; gateways use the same answer, so it proves nothing about the order"),
    "RateLimitExceeded": (_OPEN, "as above"),
    "BadResponse": (_OPEN, "an answer that cannot be read"),
    "BaseError": (_OPEN, "anything else"),
}
"""By the name of the nearest class above an error, so that ccxt need not be loaded to read this table."""


def outcome_of(
    error: BaseException,
    *,
    status: int | None,
    refusals: tuple[str, ...] = (),
    refuses_with_5xx: bool = False,
    taken: tuple[str, ...] = (),
) -> Outcome:
    """What a failed write came to.

    Args:
        error: ccxt's, or anything that was raised on the way.
        status: HTTP status of the answer, None if there was none. A server error proves nothing, whatever its body says, but
            where the venue is known to refuse with one.
        refusals: see `VenueProfile`, as for the others.
    """
    is_judged = status is not None and any(words in str(error) for words in refusals)
    if status is not None and status >= HTTPStatus.INTERNAL_SERVER_ERROR and not (refuses_with_5xx and is_judged):
        return Outcome.AMBIGUOUS
    if any(words in str(error) for words in taken):
        return Outcome.AMBIGUOUS
    for kind in type(error).__mro__:
        known = OUTCOMES.get(kind.__name__) if kind.__module__.startswith("ccxt") else None
        if known is not None:
            if is_judged:
                return Outcome.REFUSED
            return known[0]
    return Outcome.AMBIGUOUS


def is_absent(error: BaseException) -> bool:
    """Whether the venue itself says that it has no such order."""
    return type(error).__name__ == "OrderNotFound" and type(error).__module__.startswith("ccxt")


def is_passing(error: BaseException) -> bool:
    """Whether a read that failed so may succeed if it is asked again: a bare `ExchangeError` may be a gateway's page."""
    names = _kinds(error)
    is_server_error = (last_status.get() or 0) >= HTTPStatus.INTERNAL_SERVER_ERROR
    return "OperationFailed" in names or (is_server_error and type(error).__name__ == "ExchangeError")


def is_clock_skew(error: BaseException, *, unnamed: bool = False) -> bool:
    """Whether the venue did not accept the time of a request.

    Args:
        error: ccxt's.
        unnamed: this venue says of it only that the request was not authorised, as it does of a wrong key.
    """
    kinds = [kind.__name__ for kind in type(error).__mro__]
    return "InvalidNonce" in kinds or (unnamed and kinds[0] == "AuthenticationError")


def is_refusal(error: BaseException, denials: tuple[str, ...] = ()) -> bool:
    """Whether a stream that failed so would fail again: the key may not have it, or ccxt does not.

    Args:
        error: ccxt's, or anything that was raised on the way.
        denials: see `Streams`.
    """
    known = bool(_kinds(error) & {"AuthenticationError", "ArgumentsRequired", "NotSupported"})
    return known or any(words in str(error) for words in denials)


def underlying(error: BaseException) -> BaseException:
    """The error of ccxt's that another one came of, or the error itself. ccxt trips over some of its own."""
    at: BaseException | None = error
    seen = set[int]()
    while at is not None and id(at) not in seen:  # an error that is raised again may come of itself
        if _kinds(at):
            return at
        seen.add(id(at))
        at = at.__cause__ or at.__context__
    return error


def _kinds(error: BaseException) -> set[str]:
    return {kind.__name__ for kind in type(error).__mro__ if kind.__module__.startswith("ccxt")}


@contextmanager
def reading(venue: str, what: str) -> Iterator[None]:
    """Every failure of a read as `BrokerUnavailable`."""
    try:
        yield
    except BrokerError:
        raise
    except Exception as error:
        raise BrokerUnavailable(
            f"{venue} did not give {what}: {brief(error)}",
            not_done="Nothing was assumed in its place",
            next_step="Check the network, the key and the venue's status page",
        ) from error


@contextmanager
def writing(
    venue: str, what: str, refusals: tuple[str, ...], *, refuses_with_5xx: bool = False, taken: tuple[str, ...] = ()
) -> Iterator[None]:
    """Every failure of a write as `OrderRefused` or `AmbiguousOutcome`. For the rest see `outcome_of`."""
    last_status.set(None)
    try:
        yield
    except HeldOff as error:
        if last_status.get() is not None:  # a part of it was answered before
            raise AmbiguousOutcome(error.what, next_step="The desk asks the venue for it by its id") from error
        raise OrderRefused(
            f"{what} was not sent to {venue}: {error.what}", not_done=error.not_done, next_step=error.next_step
        ) from error
    except BrokerError:
        raise
    except Exception as error:
        status = last_status.get()
        outcome = outcome_of(error, status=status, refusals=refusals, refuses_with_5xx=refuses_with_5xx, taken=taken)
        if outcome is Outcome.REFUSED:
            raise OrderRefused(
                f"{venue} refused {what}: {brief(error)}",
                not_done="Nothing was changed at the venue",
                next_step="Mend what the venue names and send it under a new id",
            ) from error
        raise AmbiguousOutcome(
            f"{venue} did not clearly answer {what}: {brief(error)}",
            not_done="It may or may not have been done, and is not sent again",
            next_step="The desk asks the venue for it by its id",
        ) from error


def brief(error: BaseException) -> str:
    """One short line of an error: venues answer outages with whole web pages."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}".rstrip(": ")
