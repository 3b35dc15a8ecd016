"""Coinbase's keys: a JSON Web Token signed with ES256 in every request, made of the key's name and its PEM.

The token names the method, host and path it is for (a socket's names none), and is good for two minutes.
Source: https://docs.cdp.coinbase.com/coinbase-app/authentication-authorization/api-key-authentication,
https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/websocket/websocket-authentication
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.venues.server import Call, Key

AUDIENCE, ISSUER = "retail_rest_api_proxy", "coinbase-cloud"
LEEWAY_SECONDS = 5
_UNTIMED = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}  # the venue's clock decides, not the machine's


def pem(number: int) -> str:
    """The PEM of the elliptic key with that number."""
    return (
        ec.derive_private_key(number, ec.SECP256R1())
        .private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
        .decode()
    )


class Keys:
    """What the venue knows of its clients' keys.

    Args:
        keys: their secrets are PEMs.
        now: the venue's time in Unix milliseconds.
    """

    def __init__(self, keys: Iterable[Key], now: Callable[[], int]) -> None:
        self._now = now
        self._keys = {key.key: (key, _public(key.secret)) for key in keys}

    def of_call(self, call: Call) -> Key | None:
        """Whose request it is; None when that is not proven."""
        kind, _, token = call.headers.get("authorization", "").partition(" ")
        host = call.headers.get("host", "")
        return self.of_token(token, f"{call.method} {host}{call.path}") if kind == "Bearer" else None

    def of_token(self, token: object, uri: str | None) -> Key | None:
        """The key that signed a token for `uri`, or for a socket where that is None; None when any part of it is wrong."""
        try:
            named = jwt.get_unverified_header(str(token)).get("kid")
            key, public = self._keys[str(named)]
            claims = jwt.decode(
                str(token),
                public,
                algorithms=["ES256"],
                audience=AUDIENCE,
                issuer=ISSUER,
                options=_UNTIMED,
            )
            begins, ends = int(claims["nbf"]), int(claims["exp"])
        except (jwt.InvalidTokenError, KeyError, ValueError):
            return None
        seconds = self._now() / 1000
        if not begins - LEEWAY_SECONDS <= seconds <= ends or claims["sub"] != key.key:
            return None
        # ccxt takes `https://` off the address it signs for; a local venue has `http://`.
        signed_for = str(claims["uri"]).replace("http://", "") if "uri" in claims else None
        return key if signed_for == uri else None


def _public(secret: str) -> ec.EllipticCurvePublicKey:
    private = serialization.load_pem_private_key(secret.encode(), None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    return private.public_key()
