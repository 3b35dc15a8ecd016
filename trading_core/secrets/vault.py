"""Secrets from HashiCorp Vault or OpenBao: the key `value` of one entry for each, in a KV engine of version 2.

https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2
"""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from trading_core.domain.errors import SecretUnavailable
from trading_core.secrets.port import checked_name, failed, missing_extra, usable

FIELD = "value"
SERVICE_ACCOUNT_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


@dataclass(frozen=True, slots=True)
class Token:
    """A token that somebody else renews."""

    token: SecretStr


@dataclass(frozen=True, slots=True)
class AppRole:
    """https://developer.hashicorp.com/vault/docs/auth/approle"""

    role_id: str
    secret_id: SecretStr


@dataclass(frozen=True, slots=True)
class Kubernetes:
    """The pod's own service account: https://developer.hashicorp.com/vault/docs/auth/kubernetes"""

    role: str
    token_file: Path = SERVICE_ACCOUNT_TOKEN


class VaultSecrets:
    """`credentials-key` is the entry `algotrendy/credentials-key` under the mount `secret`.

    Args:
        url: of the server, such as https://vault.example.com:8200.
        mount: where the KV engine is mounted.
        folder: what entries' paths begin with.
        namespace: of Vault Enterprise or OpenBao.
        timeout: seconds for one request.

    Raises:
        ConfigurationError: the client is not installed.
    """

    name = "vault"

    def __init__(
        self,
        url: str,
        login: Token | AppRole | Kubernetes,
        *,
        mount: str = "secret",
        folder: str = "algotrendy",
        namespace: str | None = None,
        timeout: float = 10.0,
    ) -> None:
        try:
            import hvac
        except ModuleNotFoundError:
            raise missing_extra("vault") from None
        # An empty token rather than none: without one the client would look for one in the environment and the home folder.
        self._client: Any = hvac.Client(url=url, token="", namespace=namespace, timeout=timeout)
        self._login, self._mount, self._folder = login, mount, folder.strip("/")
        self._where = f"Vault at {url}"
        self._ready = False
        self._one_at_a_time = threading.Lock()  # the client's session is not made for more

    async def get(self, name: str) -> SecretStr | None:
        return await asyncio.to_thread(self._get, checked_name(name))

    async def close(self) -> None:
        await asyncio.to_thread(self._client.adapter.close)

    def _get(self, name: str) -> SecretStr | None:
        from hvac.exceptions import VaultError
        from requests import RequestException

        try:
            with self._one_at_a_time:
                entry = self._entry(f"{self._folder}/{name}".lstrip("/"))
        except SecretUnavailable:
            raise
        except VaultError as error:
            # Only the server's list of errors is told: the client's message may be the whole answer.
            raise failed(name, self._where, "; ".join(error.errors or ()) or type(error).__name__) from None
        except (RequestException, OSError) as error:
            raise failed(name, self._where, type(error).__name__, "Check that it can be reached") from None
        if entry is None:
            return None
        value = entry.get(FIELD) if isinstance(entry, dict) else None
        if not isinstance(value, str):
            raise failed(name, self._where, f"its entry has no text under the key {FIELD!r}")
        return usable(value, name, self._where)

    def _entry(self, path: str) -> object:
        """The newest version of an entry; None when there is none, or it was deleted."""
        from hvac.exceptions import Forbidden

        if not self._ready:
            self._sign_in()
        try:
            return self._read(path)
        except Forbidden:
            if isinstance(self._login, Token):
                raise
            self._sign_in()  # what a login gives ends after a while; a new one is tried once
            return self._read(path)

    def _read(self, path: str) -> object:
        from hvac.exceptions import InvalidPath

        try:
            answer = self._client.secrets.kv.v2.read_secret_version(path, mount_point=self._mount, raise_on_deleted_version=True)
        except InvalidPath as error:
            if error.errors:
                raise  # there is no such mount; an entry that is not there comes without errors
            return None
        return answer["data"]["data"]

    def _sign_in(self) -> None:
        login = self._login
        if isinstance(login, Token):
            self._client.token = login.token.get_secret_value()
        elif isinstance(login, AppRole):
            self._client.auth.approle.login(login.role_id, login.secret_id.get_secret_value())
        else:
            self._client.auth.kubernetes.login(login.role, login.token_file.read_text().strip())
        self._check_mount()
        self._ready = True

    def _check_mount(self) -> None:
        # In an engine of version 1 every entry would seem to be missing.
        about = self._client.adapter.get(f"/v1/sys/internal/ui/mounts/{self._mount}")["data"]
        if about.get("type") != "kv" or (about.get("options") or {}).get("version") != "2":
            raise SecretUnavailable(
                f"the mount {self._mount!r} of {self._where} is no KV engine of version 2",
                not_done="Nothing was read",
                next_step="Name another mount, or upgrade it with `vault kv enable-versioning`",
            )
