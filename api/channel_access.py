"""Keys of the sources of readings, from the providers of secrets, and other hosts for them from the environment."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from api.home import STORE_VARIABLE
from trading_core.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from data_channels.store.retention import Retention
    from graph.channels import ChannelAccess

URLS_VARIABLE = "ALGOTRENDY_CHANNEL_URLS"
"""`NAME=URL,NAME=URL`: mirrors and proxies of sources."""

KEEP_VARIABLES = {name: f"ALGOTRENDY_KEEP_{name.upper()}_DAYS" for name in ("raw", "hourly", "readings", "bars")}
"""For how many days what is kept: see `Retention`."""


async def channel_access() -> ChannelAccess:
    """Every key there is. A source without its own is off and says which it wants.

    Raises:
        SecretError, ConfigurationError: a provider of secrets failed, or the variable cannot be meant.
    """
    from api.desk_database import secret_providers
    from graph.channels import SECRETS, ChannelAccess

    async with secret_providers() as secrets:
        found = {name: secret for name in SECRETS if (secret := await secrets.get(name)) is not None}
    urls, store = _urls(os.environ.get(URLS_VARIABLE, "")), os.environ.get(STORE_VARIABLE) or None
    return ChannelAccess(found, urls, store, _retention())


def _retention() -> Retention | None:
    """What the environment says; None when it says nothing: nothing is removed without having been asked for."""
    from data_channels.store.retention import MOST_DAYS, Retention

    days = {name: text for name, variable in KEEP_VARIABLES.items() if (text := os.environ.get(variable, "").strip())}
    for name, text in days.items():
        if not text.isdecimal() or not 1 <= int(text) <= MOST_DAYS:
            raise ConfigurationError(
                f"{KEEP_VARIABLES[name]} is {text!r}", not_done="Nothing was opened", next_step=f"Give days, 1 to {MOST_DAYS}"
            )
    return Retention.in_days(**{name: int(text) for name, text in days.items()}) if days else None


def _urls(text: str) -> dict[str, str]:
    from graph.channels import SOURCES

    urls = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, equals, url = part.partition("=")
        if not equals or name not in SOURCES or not url.startswith(("http://", "https://")):
            raise ConfigurationError(
                f"{URLS_VARIABLE} has {part!r}, which is no NAME=URL of a source",
                not_done="Nothing was opened",
                next_step=f"Names are {', '.join(SOURCES)}",
            )
        urls[name] = url
    return urls
