"""Where a client asks, and what it reads an answer as."""

from __future__ import annotations

import json
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit


class Movable(Protocol):
    """What is used of ccxt's client here."""

    urls: dict[str, object]
    timeout_on_exit: int


def exact_json(text: str) -> object:
    """A JSON document with its fractions as the text they came in; None for what is no document."""
    try:
        document = json.loads(text, parse_float=str)
    except ValueError:
        return None
    return document if isinstance(document, dict | list) else None


def move(exchange: Movable, base_url: str) -> None:
    """Have a client ask another host, which speaks the venue's REST API and streams; paths stay the same."""
    exchange.urls["api"] = _moved(exchange.urls["api"], base_url)
    if base_url.startswith("http:"):
        exchange.timeout_on_exit = 0  # ccxt waits a quarter of a second at `close` for TLS to end; here is none


def _moved(urls: object, base_url: str) -> object:
    if isinstance(urls, dict):
        return {name: _moved(url, base_url) for name, url in urls.items()}
    parts, base = urlsplit(str(urls)), urlsplit(base_url)
    scheme = base.scheme.replace("http", "ws") if parts.scheme in ("ws", "wss") else base.scheme
    return urlunsplit(parts._replace(scheme=scheme, netloc=base.netloc, path=base.path.rstrip("/") + parts.path))
