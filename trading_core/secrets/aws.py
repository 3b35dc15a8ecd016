"""Secrets from AWS Secrets Manager: the text of one secret for each.

Who asks is found as in every AWS client: environment, shared files, then the role of the container or machine.
https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html
"""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from pydantic import SecretStr

from trading_core.secrets.port import checked_name, failed, missing_extra, usable


class AwsSecrets:
    """`credentials-key` is the secret `algotrendy/credentials-key`.

    Args:
        region: such as eu-central-1.
        folder: what secrets' names begin with.
        endpoint: another address of the service, for a private endpoint.
        timeout: seconds for one request, which is tried three times.

    Raises:
        ConfigurationError: the client is not installed.
    """

    name = "aws"

    def __init__(self, region: str, *, folder: str = "algotrendy", endpoint: str | None = None, timeout: float = 10.0) -> None:
        try:
            import boto3  # noqa: F401  # told now rather than at the first secret
        except ModuleNotFoundError:
            raise missing_extra("aws") from None
        self._region, self._folder, self._endpoint, self._timeout = region, folder.strip("/"), endpoint, timeout
        self._where = f"AWS Secrets Manager in {region}"
        self._made: Any = None
        self._making = threading.Lock()

    async def get(self, name: str) -> SecretStr | None:
        return await asyncio.to_thread(self._get, checked_name(name))

    async def close(self) -> None:
        if self._made is not None:
            await asyncio.to_thread(self._made.close)

    def _get(self, name: str) -> SecretStr | None:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer = self._client().get_secret_value(SecretId=f"{self._folder}/{name}".lstrip("/"))
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if code == "ResourceNotFoundException":
                return None
            raise failed(name, self._where, code or type(error).__name__) from None
        except BotoCoreError as error:
            raise failed(name, self._where, type(error).__name__, "Check the region, the network and who asks") from None
        value = answer.get("SecretString")
        if not isinstance(value, str):
            raise failed(name, self._where, "it is binary", "Store it as text")
        return usable(value, name, self._where)

    def _client(self) -> Any:
        """Made at the first use, as it takes a while; then used by all threads, which this client allows."""
        import boto3
        from botocore.config import Config

        with self._making:
            if self._made is None:
                retries = {"mode": "standard", "max_attempts": 3}
                config = Config(connect_timeout=self._timeout, read_timeout=self._timeout, retries=retries)
                session = boto3.session.Session(region_name=self._region)
                self._made = session.client("secretsmanager", endpoint_url=self._endpoint, config=config)
            return self._made
