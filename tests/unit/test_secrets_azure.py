"""Azure Key Vault, with its own client over a transport that answers as the service does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ServiceRequestError
from azure.core.pipeline.transport import HttpTransport
from azure.core.rest import HttpRequest, HttpResponse

from trading_core.domain.errors import SecretUnavailable
from trading_core.secrets.azure import AzureSecrets

URL = "https://desk.vault.azure.net"
VALUE = "s3cr3t"


class Credential:
    """A token for anybody."""

    def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
        return AccessToken("token", 4_000_000_000)


class Answer(HttpResponse):
    """A whole answer in memory."""

    def __init__(self, request: HttpRequest, status: int, body: object, headers: dict[str, str]) -> None:
        self._request, self._status, self._body = request, status, json.dumps(body).encode()
        self._headers = {"content-type": "application/json", **headers}

    request = property(lambda self: self._request)
    status_code = property(lambda self: self._status)
    headers = property(lambda self: self._headers)
    reason = property(lambda self: "because")
    content_type = property(lambda self: "application/json")
    is_closed = property(lambda self: True)
    is_stream_consumed = property(lambda self: True)
    encoding = property(lambda self: "utf-8")
    url = property(lambda self: self._request.url)
    content = property(lambda self: self._body)

    def text(self, encoding: str | None = None) -> str:
        return str(self._body.decode(encoding or "utf-8"))

    def json(self) -> Any:
        return json.loads(self._body)

    def body(self) -> bytes:
        return bytes(self._body)

    def read(self) -> bytes:
        return bytes(self._body)

    def iter_bytes(self, **_options: Any) -> Iterator[bytes]:
        yield self._body

    iter_raw = iter_bytes

    def raise_for_status(self) -> None:
        raise AssertionError("not used by the client")

    def close(self) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class Service(HttpTransport[HttpRequest, HttpResponse]):
    """Key Vault's side: it asks for a token first, and then answers with `status` and `body`."""

    def __init__(self, status: int = 200, body: object = None, error: Exception | None = None) -> None:
        self.status, self.body, self.error = status, body, error
        self.asked: list[str] = []

    def send(self, request: HttpRequest, **_options: Any) -> HttpResponse:
        if self.error is not None:
            raise self.error
        if "Authorization" not in request.headers:
            challenge = 'Bearer authorization="https://login.microsoftonline.com/tenant", resource="https://vault.azure.net"'
            return Answer(request, 401, {}, {"WWW-Authenticate": challenge})
        self.asked.append(request.url.split("?")[0])
        return Answer(request, self.status, self.body, {})

    def open(self) -> None:
        pass

    def close(self) -> None:
        pass

    def sleep(self, _seconds: float) -> None:
        """Retries do not wait."""

    def __exit__(
        self, kind: type[BaseException] | None = None, error: BaseException | None = None, trace: TracebackType | None = None
    ) -> None:
        pass


def opened(service: Service) -> AzureSecrets:
    return AzureSecrets(URL, credential=Credential(), transport=service)


def fault(code: str, message: str = "") -> dict[str, object]:
    return {"error": {"code": code, "message": message}}


async def test_the_newest_version_is_read_under_the_prefix() -> None:
    service = Service(body={"value": VALUE, "id": f"{URL}/secrets/algotrendy-api-key/1", "attributes": {"enabled": True}})
    secrets = opened(service)
    found = await secrets.get("api-key")
    assert found is not None
    assert found.get_secret_value() == VALUE
    assert service.asked in ([f"{URL}/secrets/algotrendy-api-key/"], [f"{URL}/secrets/algotrendy-api-key"])
    await secrets.close()


async def test_only_the_services_own_word_is_an_absence() -> None:
    assert await opened(Service(404, fault("SecretNotFound"))).get("api-key") is None
    with pytest.raises(SecretUnavailable, match="no such vault"):
        await opened(Service(404, fault("VaultNotFound"))).get("api-key")


@pytest.mark.parametrize(
    ("service", "reason"),
    [
        (Service(403, fault("Forbidden", VALUE)), "it answered 403"),  # no access, or a secret that is disabled
        (Service(500, fault("Internal", VALUE)), "it answered 500"),
        (Service(200, {"value": "", "id": f"{URL}/secrets/algotrendy-api-key/1"}), "it is empty"),
        (Service(error=ServiceRequestError(VALUE)), "ServiceRequestError"),
    ],
)
async def test_failures_are_told_without_what_was_answered(service: Service, reason: str) -> None:
    with pytest.raises(SecretUnavailable, match=reason) as caught:
        await opened(service).get("api-key")
    assert VALUE not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
