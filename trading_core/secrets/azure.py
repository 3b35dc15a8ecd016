"""Secrets from Azure Key Vault: the newest version of one secret for each.

https://learn.microsoft.com/azure/key-vault/secrets/about-secrets
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pydantic import SecretStr

from trading_core.secrets.port import checked_name, failed, missing_extra, usable

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from azure.core.pipeline.transport import HttpTransport
    from azure.core.rest import HttpRequest, HttpResponse


RETRIES = 2


class AzureSecrets:
    """`credentials-key` is the secret `algotrendy-credentials-key`.

    Args:
        url: of the vault, such as https://NAME.vault.azure.net.
        prefix: what secrets' names begin with.
        credential: who asks. By default that is found as in every Azure client: environment, workload or managed identity, CLI.
        transport: how requests are sent, by default over the network.
        timeout: seconds for one request, which is tried again with growing pauses.

    Raises:
        ConfigurationError: the client is not installed.
    """

    name = "azure"

    def __init__(
        self,
        url: str,
        *,
        prefix: str = "algotrendy-",
        credential: TokenCredential | None = None,
        transport: HttpTransport[HttpRequest, HttpResponse] | None = None,
        timeout: float = 10.0,
    ) -> None:
        try:
            from azure.identity import DefaultAzureCredential
            from azure.keyvault.secrets import SecretClient
        except ModuleNotFoundError:
            raise missing_extra("azure") from None
        self._credential = credential or DefaultAzureCredential()
        self._client = SecretClient(
            url,
            self._credential,
            retry_total=RETRIES,
            connection_timeout=timeout,
            read_timeout=timeout,
            **({} if transport is None else {"transport": transport}),
        )
        self._prefix, self._where = prefix, f"Azure Key Vault at {url}"

    async def get(self, name: str) -> SecretStr | None:
        return await asyncio.to_thread(self._get, checked_name(name))

    async def close(self) -> None:
        await asyncio.to_thread(self._client.close)

    def _get(self, name: str) -> SecretStr | None:
        from azure.core.exceptions import AzureError, HttpResponseError, ResourceNotFoundError

        try:
            value = self._client.get_secret(self._prefix + name).value
        except ResourceNotFoundError as error:
            if error.error is not None and error.error.code == "SecretNotFound":
                return None
            raise failed(name, self._where, "there is no such vault") from None
        except HttpResponseError as error:
            raise failed(name, self._where, f"it answered {error.status_code}") from None
        except AzureError as error:
            raise failed(name, self._where, type(error).__name__, "Check the network and who asks") from None
        return usable(value or "", name, self._where)
