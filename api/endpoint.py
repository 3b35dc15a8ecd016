"""Asking a model's endpoint once whether it is there, before anything depends on it."""

from __future__ import annotations

import json
from http.client import HTTPException
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from trading_core.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from agents.models.spec import ModelSettings

_SECONDS = 5.0
_MOST_BYTES = 1_000_000
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class _NoRedirect(HTTPRedirectHandler):
    """A redirect is an answer; following it could carry the key elsewhere."""

    def redirect_request(self, *_: object) -> None:
        return None


def check_endpoint(settings: ModelSettings) -> list[str] | None:
    """One GET of the endpoint's list of models.

    Returns:
        The models it names; None when it answers but has no such list, which not every server does.

    Raises:
        ConfigurationError: it cannot be reached, refuses the key, or fails.
    """
    key = settings.api_key
    headers = {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}
    request = Request(f"{settings.endpoint}/models", headers=headers)  # noqa: S310  (the settings allow http and https only)
    # A proxy named by the environment must not be asked for this machine.
    proxies = [ProxyHandler({})] if urlsplit(settings.endpoint).hostname in _LOOPBACK else []
    try:
        with build_opener(_NoRedirect, *proxies).open(request, timeout=_SECONDS) as response:
            return _names(response.read(_MOST_BYTES))
    except HTTPError as error:
        if error.code in (401, 403):
            raise _refusal(f"{settings.endpoint} refused the API key ({error.code})", "Check the key") from None
        if error.code >= 500:
            raise _refusal(f"{settings.endpoint} failed on its side ({error.code})", "Try again later") from None
        return None
    except (OSError, HTTPException) as error:
        cause = getattr(error, "reason", None) or error
        told = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
        raise _refusal(f"no connection to {settings.endpoint}: {told}", "Check that it runs and the URL is right") from None


def _names(body: bytes) -> list[str] | None:
    try:
        rows = json.loads(body)["data"]
        return [str(row["id"]) for row in rows]
    except (ValueError, KeyError, TypeError):
        return None


def _refusal(what: str, next_step: str) -> ConfigurationError:
    return ConfigurationError(what, not_done="No model was asked", next_step=next_step)
