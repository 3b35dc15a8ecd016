"""What ccxt 4.5.90 does not know of Crypto.com, put between its client and the line.

In 2026 the venue took stops out of `private/create-order`: they are placed, asked for, listed and cancelled under
`private/advanced/...` (https://exchange-developer.crypto.com/exchange/v1/docs/api/rest/advanced-order-management). ccxt still
sends them where they were. Here, what concerns a stop goes to where it is now: an order that has a trigger price, and every
question or cancel with ccxt's own mark for one, `{"trigger": True}`.

An order can be asked for by its client id alone (private/get-order-detail); ccxt always sends an `order_id` beside it, and signs
an empty one otherwise than the venue does. Here, what is empty is not sent.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

Params = Mapping[str, object]
Send = Callable[..., Awaitable[object]]

_ADVANCED_WEIGHT = 10 / 3
"""In ccxt's weights, of which the venue takes a hundred each second: three requests each 100 ms, as of all it does not name."""


def routed(path: str, params: Params) -> tuple[str, dict[str, object]]:
    """Where a request goes, and with which parameters."""
    given = {name: value for name, value in params.items() if value is not None and name != "trigger"}
    if not params.get("trigger") and "ref_price" not in given:
        return path, given
    given.pop("spot_margin", None)  # not among the parameters of a stop
    return path.replace("private/", "private/advanced/", 1), given


def rerouted(send: Send) -> Send:
    """ccxt's `request`, with every request sent to where it belongs."""

    async def request(
        path: str, api: object = "public", method: str = "GET", params: Params | None = None, config: Params | None = None
    ) -> object:
        there, given = routed(path, params or {})
        weighed = dict(config or {})
        if there != path:
            weighed["cost"] = max(float(str(weighed.get("cost", 0))), _ADVANCED_WEIGHT)
        return await send(there, api, method, given, config=weighed)

    return request


def with_test_streams(urls: dict[str, object]) -> None:
    """ccxt keeps the streams of the test network where its client does not look for them."""
    test = urls.get("test")
    if isinstance(test, dict):
        test["ws"] = {name: test[name] for name in ("public", "private") if name in test}
