"""Random tokens that carry no meaning: the holder has the token, the database only its SHA-256.

A slow, salted hash is for what people choose. A token of 256 random bits has no dictionary to try, so one fast hash keeps a
stolen database from being used to act, and costs nothing on each request.
https://pages.nist.gov/800-63-4/sp800-63b.html (look-up secrets: salting may be left out from 112 bits on)
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Callable

TokenBytes = Callable[[int], bytes]  # that many bytes from a cryptographic source, as `secrets.token_bytes`

SECRET_BYTES = 32


def random_text(token_bytes: TokenBytes, count: int = SECRET_BYTES) -> str:
    """`count` random bytes as base64url without padding."""
    return urlsafe_b64encode(token_bytes(count)).rstrip(b"=").decode()


def random_id(token_bytes: TokenBytes) -> str:
    """128 random bits in hexadecimal: unique, and not a secret."""
    return token_bytes(16).hex()


def digest(token: str) -> str:
    """The SHA-256 of a token, in hexadecimal. Any text has one, also what is no token."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()
