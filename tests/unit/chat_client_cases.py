"""The API as a client of it meets it: played by a handler that answers as the API does."""

from __future__ import annotations

import json

URL = "http://localhost"


def told(sequence: int, kind: str = "token", **data: object) -> bytes:
    """An event of a stream."""
    event = json.dumps({"sequence": sequence, "kind": kind, "data": data})
    return f"id: {sequence}\nevent: {kind}\ndata: {event}\n\n".encode()
