"""Where a desk answers, as its clients are told it."""

from __future__ import annotations

from urllib.parse import urlsplit

from trading_core.domain.errors import ConfigurationError

LOCAL_DESK = "http://127.0.0.1:8000"  # where `serve` answers when it is told nothing
_PLAIN_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})


def desk_address(url: str) -> str:
    """The address, without a slash at its end.

    Raises:
        ConfigurationError: it is none, or passwords and keys would cross a network unencrypted.
    """
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, or a bracket too few
        is_address = False
    if not is_address:
        raise ConfigurationError(
            f"{url!r} is no address of a desk", not_done="Nothing was started", next_step="Write http://host:port"
        )
    if parts.scheme == "http" and parts.hostname not in _PLAIN_HOSTS:
        raise ConfigurationError(
            f"{url!r} would have passwords and keys cross the network unencrypted",
            not_done="Nothing was started",
            next_step="Use https",
        )
    return url.rstrip("/")
