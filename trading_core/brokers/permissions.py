"""What an account's key may do, in each venue's own words; and what is wrong with a key that is turned away, in one line.

Binance https://developers.binance.com/docs/wallet/account/api-key-permission, Bybit
https://bybit-exchange.github.io/docs/v5/user/apikey-info, OKX https://www.okx.com/docs-v5 (get account configuration),
Coinbase https://docs.cdp.coinbase.com/api-reference/advanced-trade-api/rest-api/data-api/get-api-key-permissions, Kraken
https://docs.kraken.com/api-reference/account-data/get-api-key-info. Crypto.com tells nothing of a key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from trading_core.domain.errors import AlgoTrendyError, InvalidInput

Body = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class KeyPermissions:
    """What a key may do. None is what the venue does not tell.

    Attributes:
        can_trade: place and cancel spot orders.
        can_withdraw: take money out of the venue, which the desk never needs.
        restricted_to_ips: it is accepted only from the addresses that its owner named.
    """

    can_read: bool | None = None
    can_trade: bool | None = None
    can_withdraw: bool | None = None
    restricted_to_ips: bool | None = None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What its owner should change, one line each."""
        found: list[str] = []
        if self.can_read is False:
            found.append("the key cannot read the account: allow reading at the venue")
        if self.can_trade is False:
            found.append("the key cannot trade: allow spot trading at the venue, or use the account for reading only")
        if self.can_withdraw:
            found.append("the key can withdraw: take that permission away at the venue, the desk never needs it")
        if self.restricted_to_ips is False:
            found.append("the key works from any address: restrict it at the venue to those of the desk")
        return tuple(found)


NOT_TOLD = KeyPermissions()


def permissions_of(venue: str, body: Body) -> KeyPermissions:
    """The permissions in the answer of a venue's `VenueProfile.key_endpoint`.

    Raises:
        InvalidInput: a field is missing or has another form.
    """
    return _READERS[venue](body)


def _binance(body: Body) -> KeyPermissions:
    return KeyPermissions(
        can_read=_flag(body, "enableReading"),
        can_trade=_flag(body, "enableSpotAndMarginTrading"),
        can_withdraw=_flag(body, "enableWithdrawals"),
        restricted_to_ips=_flag(body, "ipRestrict"),
    )


def _bybit(body: Body) -> KeyPermissions:
    """Every key reads. `*` among the addresses stands for all of them."""
    result = _object(body, "result")
    granted, addresses = _object(result, "permissions"), _texts(result, "ips")
    writes = str(result.get("readOnly")) == "0"
    return KeyPermissions(
        can_read=True,
        can_trade=writes and "SpotTrade" in _texts(granted, "Spot"),
        can_withdraw=writes and "Withdraw" in _texts(granted, "Wallet"),
        restricted_to_ips=bool(addresses) and "*" not in addresses,
    )


def _okx(body: Body) -> KeyPermissions:
    rows = body.get("data")
    row = rows[0] if isinstance(rows, list) and rows else None
    if not isinstance(row, Mapping):
        raise InvalidInput("it holds no account")
    granted = str(row.get("perm") or "").split(",")
    addresses = row.get("ip")
    return KeyPermissions(
        can_read="read_only" in granted,
        can_trade="trade" in granted,
        can_withdraw="withdraw" in granted,
        restricted_to_ips=None if addresses is None else bool(addresses),
    )


def _coinbase(body: Body) -> KeyPermissions:
    """`can_transfer` also covers moves between the owner's portfolios. Addresses are not told."""
    return KeyPermissions(_flag(body, "can_view"), _flag(body, "can_trade"), _flag(body, "can_transfer"))


def _kraken(body: Body) -> KeyPermissions:
    """Placing and cancelling are two permissions, as are open orders and those that have ended: the desk needs all four."""
    result = _object(body, "result")
    granted, addresses = set(_texts(result, "permissions")), _texts(result, "ipAllowlist")
    return KeyPermissions(
        can_read={"query-funds", "query-open-trades", "query-closed-trades"} <= granted,
        can_trade={"modify-trades", "close-trades"} <= granted,
        can_withdraw="withdraw-funds" in granted,
        restricted_to_ips=bool(addresses),
    )


_READERS: Mapping[str, Callable[[Body], KeyPermissions]] = MappingProxyType(
    {"binance": _binance, "bybit": _bybit, "okx": _okx, "coinbase": _coinbase, "kraken": _kraken}
)


def _flag(body: Body, name: str) -> bool:
    value = body.get(name)
    if not isinstance(value, bool):
        raise InvalidInput(f"{name!r} is {value!r} and neither true nor false")
    return value


def _object(body: Body, name: str) -> Body:
    value = body.get(name)
    if not isinstance(value, Mapping):
        raise InvalidInput(f"{name!r} is missing")
    return value


def _texts(body: Body, name: str) -> list[str]:
    value = body.get(name)
    if not isinstance(value, list):
        raise InvalidInput(f"{name!r} is no list")
    return [str(item) for item in value]


_BANNED = "has shut this address out for a while, after too many requests: wait, and run the account in one process only"
_ADDRESS = "does not accept the key from this address: add the desk's address to those of the key at the venue"
_PASSPHRASE = "does not accept the passphrase: store the one that was chosen when the key was made"  # noqa: S105 - no passphrase: what is said of one
_KEY = "does not accept the key: store key and secret again, or make a new key at the venue, of this network"
_PERMISSION = "does not let the key do this: give it the permissions to read and to trade spot at the venue"
_CLOCK = "does not accept the time of the request: set the machine's clock (NTP)"
_UNCLEAR = "does not accept the key, or not from this address, or not for this: check the three at the venue"

# The first row that fits counts: a fragment of the venue's words under a class of ccxt's, or any of that class.
_TROUBLES: tuple[tuple[str, str, str], ...] = (
    ("BaseError", "banned", _BANNED),  # Binance -1003 with 418, Bybit 10009
    ("BaseError", " 418 ", _BANNED),
    ("BaseError", "Temporary lockout", _BANNED),  # Kraken
    ("InvalidNonce", "", _CLOCK),
    ("BaseError", "Invalid Api-Key ID", _KEY),  # Binance -2008
    ("BaseError", "Invalid API-key, IP, or permissions", _UNCLEAR),  # Binance -2015
    ("AuthenticationError", "PASSPHRASE", _PASSPHRASE),  # OKX 50104, 50105
    ("AuthenticationError", '"50110"', _ADDRESS),  # OKX
    ("AuthenticationError", "10010", _ADDRESS),  # Bybit
    ("AuthenticationError", "40103", _ADDRESS),  # Crypto.com
    ("AuthenticationError", "IP_ILLEGAL", _ADDRESS),  # Crypto.com
    ("PermissionDenied", "", _PERMISSION),
    ("BaseError", '"50120"', _PERMISSION),  # OKX, for which ccxt has no class
    ("AuthenticationError", "", _KEY),
    ("BaseError", "EAPI:Invalid signature", _KEY),  # Kraken, for which ccxt has no class
)


def explained(title: str, error: BaseException) -> str:
    """One line on an error of a broker: for what is known to be wrong with a key or an address, what to do about it.

    Args:
        title: the venue's name.
        error: of this desk, with ccxt's own as its cause.
    """
    for cause, kinds in _causes(error):
        for kind, words, line in _TROUBLES:
            if kind in kinds and words in str(cause):
                return f"{title} {line}"
    text = str(error) if isinstance(error, AlgoTrendyError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())


def was_answered(error: BaseException) -> bool:
    """Whether the venue itself said no: it is there, whatever it thinks of the key."""
    return any("ExchangeError" in kinds for _, kinds in _causes(error))


def is_unsupported(error: BaseException) -> bool:
    """Whether ccxt has nowhere to ask: Binance's test network lacks the part of the API that tells of keys."""
    return any("NotSupported" in kinds for _, kinds in _causes(error))


def _causes(error: BaseException) -> Iterator[tuple[BaseException, set[str]]]:
    """The error and what led to it, each with the names of ccxt's classes that it belongs to."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause, {kind.__name__ for kind in type(cause).__mro__ if kind.__module__.startswith("ccxt")}
        cause = cause.__cause__
