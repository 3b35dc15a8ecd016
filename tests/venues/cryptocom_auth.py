"""How Crypto.com knows who asks: the envelope of a request, its signature and its clock; and the codes it refuses with.

Source: https://exchange-developer.crypto.com/exchange/v1/docs/api/rest-common-api-reference (request format, digital signature,
response and reason codes). Code 140001 is not among them: clients met it when triggers moved to an API of their own.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from tests.venues.server import Key

Row = dict[str, object]
Params = Mapping[str, object]
LONGEST_SKEW_MS = 60_000

CODES: Mapping[int, tuple[int, str]] = {
    204: (400, "DUPLICATE_CLORDID"),
    209: (400, "INVALID_INSTRUMENT"),
    212: (500, "INVALID_ORDERID"),
    213: (400, "INVALID_ORDERQTY"),
    218: (400, "INVALID_ORDTYPE"),
    219: (500, "INVALID_EXECINST"),
    220: (400, "INVALID_SIDE"),
    221: (400, "INVALID_TIF"),
    229: (400, "INVALID_REF_PRICE"),
    230: (400, "INVALID_REF_PRICE_TYPE"),
    306: (500, "INSUFFICIENT_AVAILABLE_BALANCE"),
    308: (400, "INVALID_PRICE"),
    316: (500, "NO_ACTIVE_ORDER"),
    415: (500, "BELOW_MIN_ORDER_SIZE"),
    40001: (400, "BAD_REQUEST"),
    40002: (400, "METHOD_NOT_FOUND"),
    40004: (400, "MISSING_OR_INVALID_ARGUMENT"),
    40005: (400, "INVALID_DATE"),
    40101: (401, "UNAUTHORIZED"),
    40102: (400, "INVALID_NONCE"),
    40401: (200, "NOT_FOUND"),
    42901: (429, "TOO_MANY_REQUESTS"),
    43003: (500, "FILL_OR_KILL"),
    43004: (500, "IMMEDIATE_OR_CANCEL"),
    43005: (500, "POST_ONLY_REJ"),
    50001: (500, "ERR_INTERNAL"),
    140001: (500, "API_DISABLED"),
    9010001: (503, "SYSTEM_MAINTENANCE"),
}
"""By code: the HTTP status it comes with, and its message."""


class CryptocomError(Exception):
    """A refusal by its code. `result` names an order that was taken all the same."""

    def __init__(self, code: int, result: Row | None = None) -> None:
        self.status, self.message = CODES[code]
        super().__init__(self.message)
        self.code = code
        self.result = result


@dataclass(frozen=True, slots=True)
class Asked:
    """The envelope of a request, by REST or over a stream; what is missing is empty."""

    id: str
    method: str
    params: Params
    key: str
    signature: str
    nonce: str

    @classmethod
    def of(cls, document: Mapping[str, object]) -> Asked:
        """Read a parsed JSON object."""
        params = document.get("params")
        text = {name: str(document.get(name, "")) for name in ("id", "method", "api_key", "sig", "nonce")}
        given: Params = params if isinstance(params, dict) else {}
        return cls(text["id"], text["method"], given, text["api_key"], text["sig"], text["nonce"])


def parameter_text(value: object) -> str:
    """Parameters as they are signed: names in order, each before its value, and nothing between them."""
    if isinstance(value, Mapping):
        return "".join(f"{name}{parameter_text(value[name])}" for name in sorted(value))
    if isinstance(value, list):
        return "".join(map(parameter_text, value))
    return "null" if value is None else str(value)


def signature(asked: Asked, secret: str) -> str:
    """HMAC-SHA256 over method, id, key, parameters and nonce."""
    payload = f"{asked.method}{asked.id}{asked.key}{parameter_text(asked.params)}{asked.nonce}"
    return hmac.new(secret.encode(), payload.encode(), hashlib.sha256).hexdigest()


def authorised(asked: Asked, keys: Mapping[str, Key], now_ms: int) -> Key:
    """The key of a request that is signed with its secret and was sent less than a minute ago.

    Raises:
        CryptocomError: it is not.
    """
    key = keys.get(asked.key)
    if key is None or not hmac.compare_digest(signature(asked, key.secret), asked.signature):
        raise CryptocomError(40101)
    if not asked.nonce.isdecimal() or abs(int(asked.nonce) - now_ms) > LONGEST_SKEW_MS:
        raise CryptocomError(40102)
    return key


def said(id_: str, method: str, result: object = None) -> Row:
    """The answer to a request that was done. Without an id it is -1."""
    row: Row = {"id": int(id_) if id_.isdecimal() else -1, "method": method, "code": 0}
    return row if result is None else row | {"result": result}


def refused(id_: str, method: str, error: CryptocomError, original: str = "") -> Row:
    """The answer to a request that was not done; `original` is the request as it came."""
    row = said(id_, method or "ERROR", error.result) | {"code": error.code, "message": error.message}
    return row | {"original": original} if original else row
