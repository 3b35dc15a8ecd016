"""How OKX reads a request: who asks, what the body holds, which part of a list is wanted.

Source: https://www.okx.com/docs-v5/en/ (overview: REST authentication; error code: API class).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from tests.venues.okx_orders import OkxError, Params, Row, bad
from tests.venues.server import Call, Key

WINDOW_MS = 30_000
PAGE_ROWS, BATCH = 100, 20
NO_PERMISSION = OkxError("50120", "This API key doesn't have permission to use this function.", 401)
HEADERS = {"key": "50103", "passphrase": "50104", "sign": "50106", "timestamp": "50107"}
"""What each request tells of its caller, and the code of one that leaves it out."""
Rows = Sequence[tuple[int, int, Row]]
"""Each with its number, which pages go by, and its instant."""


def signature(secret: str, text: str) -> str:
    return base64.b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()).decode()


def authorised(call: Call, keys: Mapping[str, Key], passphrase: str, now_ms: int) -> Key:
    """The key of a request whose passphrase, time and signature are right.

    Raises:
        OkxError: one of them is not.
    """
    told = {name: call.headers.get(f"ok-access-{name}", "") for name in HEADERS}
    for name, code in HEADERS.items():
        if not told[name]:
            raise OkxError(code, f'Request header "OK-ACCESS-{name.upper()}" cannot be empty.', 401)
    key = keys.get(told["key"])
    if key is None:
        raise OkxError("50111", "Invalid OK-ACCESS-KEY", 401)
    if told["passphrase"] != passphrase:
        raise OkxError("50105", 'Request header "OK-ACCESS-PASSPHRASE" incorrect.', 401)
    try:
        stamp = datetime.strptime(told["timestamp"], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    except ValueError:
        raise OkxError("50112", "Invalid OK-ACCESS-TIMESTAMP", 401) from None
    if abs(stamp.timestamp() * 1000 - now_ms) > WINDOW_MS:
        raise OkxError("50102", "Timestamp request expired", 401)
    query = f"?{call.query}" if call.query else ""
    expected = signature(key.secret, f"{told['timestamp']}{call.method}{call.path}{query}{call.body}")
    if not hmac.compare_digest(expected, told["sign"]):
        raise OkxError("50113", "Invalid Sign", 401)
    return key


def entries(body: str) -> list[Params]:
    """The orders of a request's body, one or a list. Amounts are texts; a bare number is refused as no OKX client sends it."""
    try:
        parsed: object = json.loads(body)
    except ValueError:
        raise OkxError("50002", "JSON syntax error") from None
    listed = parsed if isinstance(parsed, list) else [parsed]
    if len(listed) > BATCH:
        raise OkxError("51111", f"Maximum {BATCH} orders can be placed in bulk.")
    if not listed or not all(_is_entry(entry) for entry in listed):
        raise OkxError("50002", "JSON syntax error")
    return listed


def _is_entry(entry: object) -> bool:
    return isinstance(entry, dict) and all(isinstance(value, str) for value in entry.values())


def number(params: Params, name: str, default: int, most: int) -> int:
    text = params.get(name, str(default))
    if not text.isdecimal() or not 0 < int(text) <= most:
        raise bad(name)
    return int(text)


def page(params: Params, rows: Rows, kind: str) -> list[Row]:
    """Newest first: those between `begin` and `end` (ms, both in) whose id is older than `after` and newer than `before`."""
    begin, end = (int(params[name]) if params.get(name) else None for name in ("begin", "end"))
    after, before = (int(params[name].removeprefix(kind)) if params.get(name) else None for name in ("after", "before"))
    kept = [
        (row_id, row)
        for row_id, at_ms, row in rows
        if (begin is None or at_ms >= begin) and (end is None or at_ms <= end)
        if (after is None or row_id < after) and (before is None or row_id > before)
    ]
    kept.sort(key=lambda entry: entry[0], reverse=True)
    return [row for _, row in kept[: number(params, "limit", PAGE_ROWS, PAGE_ROWS)]]
