"""Secrets from environment variables, and from a `.env` file where the environment says nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values
from pydantic import SecretStr

from trading_core.domain.errors import ConfigurationError
from trading_core.secrets.port import checked_name, usable

PREFIX = "ALGOTRENDY_"


def environment(variables: Mapping[str, str], dotenv: Path | None = None) -> dict[str, str]:
    """What the process was given, over what a `.env` file says.

    Values are taken as they stand: a password may hold a `$`.

    Raises:
        ConfigurationError: the file is there and cannot be read.
    """
    if dotenv is None or not dotenv.is_file():  # a folder of that name is somebody's virtual environment
        return dict(variables)
    try:
        kept = dotenv_values(dotenv, interpolate=False)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{dotenv} cannot be read: {type(error).__name__}", next_step="Mend or remove it") from None
    return {**{name: value for name, value in kept.items() if value is not None}, **variables}


class EnvironmentSecrets:
    """`credentials-key` is `ALGOTRENDY_CREDENTIALS_KEY`. An empty variable is one that is not set, as in a shell."""

    name = "environment"

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = dict(variables)

    async def get(self, name: str) -> SecretStr | None:
        variable = PREFIX + checked_name(name).upper().replace("-", "_")
        value = self._variables.get(variable, "")
        return usable(value, name, f"the variable {variable}") if value else None

    async def close(self) -> None:
        self._variables.clear()

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"
