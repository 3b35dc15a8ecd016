"""The port that every source of secrets fills, and sources asked one after the other."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

from pydantic import SecretStr

from trading_core.domain.errors import ConfigurationError, InvalidInput, SecretUnavailable

LONGEST_NAME = 100
MOST_BYTES = 65_536  # of a secret; the limit of AWS Secrets Manager, and far above any key

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


class SecretProvider(Protocol):
    """A source of secrets.

    Names are lower-case words with hyphens, such as `credentials-key`. That is a name in every store as it stands, and can be
    spelt in an environment without two names becoming one.
    """

    @property
    def name(self) -> str:
        """What the provider is called in settings and errors."""
        ...

    async def get(self, name: str) -> SecretStr | None:
        """The secret, or None when this source surely has none of that name.

        Raises:
            InvalidInput: that is no name of a secret.
            SecretUnavailable: the source failed, refused, or holds something unusable. It never says what it holds.
        """
        ...

    async def close(self) -> None:
        """Let go of connections. The provider must not be used afterwards."""
        ...


class SecretChain:
    """Providers in order: the first that has a secret answers. One that fails ends the search, as it might have had it."""

    name = "chain"

    def __init__(self, providers: Sequence[SecretProvider]) -> None:
        self._providers = tuple(providers)

    async def get(self, name: str) -> SecretStr | None:
        for provider in self._providers:
            if (found := await provider.get(name)) is not None:
                return found
        return None

    async def require(self, name: str, *, next_step: str = "") -> SecretStr:
        """A secret that must be there.

        Raises:
            ConfigurationError: no provider has it.
        """
        if (found := await self.get(name)) is not None:
            return found
        asked = ", ".join(provider.name for provider in self._providers) or "no provider"
        raise ConfigurationError(
            f"there is no secret {name!r} (asked: {asked})", next_step=next_step or "Store it in one of them"
        )

    async def close(self) -> None:
        for provider in self._providers:
            await provider.close()


def checked_name(name: str) -> str:
    """The name itself. Raises InvalidInput for what is none: it could lead to another file or path."""
    if len(name) > LONGEST_NAME or not _NAME.fullmatch(name):
        raise InvalidInput(
            f"{name[:LONGEST_NAME]!r} is no name of a secret",
            not_done="Nothing was read",
            next_step="Use lower-case letters, digits and single hyphens between them",
        )
    return name


def usable(value: str, name: str, where: str) -> SecretStr:
    """A secret as it was found. Raises SecretUnavailable when it is empty or too long to be one."""
    if not value.strip() or len(value) > MOST_BYTES:
        raise failed(name, where, "it is empty" if not value.strip() else f"it is longer than {MOST_BYTES} characters")
    return SecretStr(value)


def failed(name: str, where: str, reason: str, next_step: str = "") -> SecretUnavailable:
    """The error of a source that could not be read. `reason` must not come from anything that could hold the value."""
    return SecretUnavailable(
        f"the secret {name!r} could not be read from {where}: {reason}",
        not_done="No other source was asked",
        next_step=next_step or "Mend the source, or take it out of the providers",
    )


def missing_extra(extra: str) -> ConfigurationError:
    """The error of a provider whose client is not installed."""
    return ConfigurationError(
        f"the {extra!r} provider of secrets needs a client that is not installed",
        not_done="Nothing was read",
        next_step=f"pip install 'algotrendy[{extra}]'",
    )
