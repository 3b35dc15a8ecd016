"""Access tokens: short-lived JSON Web Tokens (RFC 7519), in the profile of RFC 9068, checked as RFC 8725 asks.

The algorithm is EdDSA over Ed25519 (RFC 8037) and nothing else. With a shared secret everybody who can check a token could make
one, and so could whoever finds a retired secret; here a retired key stays in the ring as its public half only. And no key fits
two algorithms, so that none can be tricked into serving as the other's.
"""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from jwt.types import Options
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from trading_core.auth.identity import bad_token
from trading_core.auth.opaque import TokenBytes
from trading_core.auth.roles import Role
from trading_core.domain.errors import ConfigurationError

ALGORITHM = "EdDSA"
TYPE = "at+jwt"  # RFC 9068: no other kind of token that this key may ever sign passes as an access token
LONGEST = 4_096  # characters that are looked at
_MOST_KNOWN = 4_096  # tokens whose signature was checked

# PyJWT would read the wall clock for the times; `verify` compares them with the clock it is given.
_OPTIONS: Options = {
    "require": ["iss", "aud", "sub", "sid", "jti", "role", "iat", "nbf", "exp"],
    "strict_aud": True,
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
}


@dataclass(frozen=True, slots=True)
class TokenSettings:
    """What access tokens say about where they are from and for, and how long they live.

    Attributes:
        leeway: how far the clocks of two machines may be apart.
    """

    issuer: str = "algotrendy"
    audience: str = "algotrendy-api"
    lifetime: timedelta = timedelta(minutes=10)
    leeway: timedelta = timedelta(seconds=5)


class VerifyingKey:
    """The public half of a signing key. Its id is its thumbprint (RFC 7638), so that no two keys share one."""

    def __init__(self, key: Ed25519PublicKey) -> None:
        self.key = key
        self.kid = _thumbprint(key)

    @classmethod
    def from_pem(cls, pem: str) -> VerifyingKey:
        """Read SubjectPublicKeyInfo, as `openssl pkey -pubout` writes it.

        Raises:
            ConfigurationError: it is no public Ed25519 key.
        """
        try:
            key = load_pem_public_key(pem.encode())
        except (ValueError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, Ed25519PublicKey):
            raise _no_key("public")
        return cls(key)

    def to_pem(self) -> str:
        return self.key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


class SigningKey:
    """A private key. It is shown nowhere but in `to_pem`."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self.key = key
        self.verifying = VerifyingKey(key.public_key())

    @classmethod
    def generate(cls, token_bytes: TokenBytes) -> SigningKey:
        """A new key from 32 random bytes (RFC 8032, section 5.1.5)."""
        return cls(Ed25519PrivateKey.from_private_bytes(token_bytes(32)))

    @classmethod
    def from_pem(cls, pem: SecretStr) -> SigningKey:
        """Read PKCS #8, as `openssl genpkey -algorithm ed25519` writes it.

        Raises:
            ConfigurationError: it is no private Ed25519 key, or one under a password.
        """
        try:
            key = load_pem_private_key(pem.get_secret_value().encode(), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, Ed25519PrivateKey):
            raise _no_key("private")
        return cls(key)

    def to_pem(self) -> SecretStr:
        return SecretStr(self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())


class KeyRing:
    """One key that signs, and those that signed before it, until the last token they signed has expired."""

    def __init__(self, signing: SigningKey, retired: Iterable[VerifyingKey] = ()) -> None:
        self.signing = signing
        self._verifying = {key.kid: key.key for key in (*retired, signing.verifying)}

    @property
    def kids(self) -> tuple[str, ...]:
        """The ids of all keys, the one that signs first."""
        signs = self.signing.verifying.kid
        return (signs, *(kid for kid in self._verifying if kid != signs))

    def key(self, kid: object) -> Ed25519PublicKey | None:
        """The key that signed under this id; None when the ring never had it, or has it no more."""
        return self._verifying.get(kid) if isinstance(kid, str) else None


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """What a genuine access token says. Whether the login still stands is for the database to say."""

    user_id: str
    login_id: str
    role: Role
    expires_at: datetime


class _Claims(BaseModel):
    model_config = ConfigDict(strict=True)

    sub: Annotated[str, Field(min_length=1)]
    sid: Annotated[str, Field(min_length=1)]
    role: Annotated[Role, Field(strict=False)]
    iat: int  # whole seconds since 1970, as `nbf` and `exp`
    nbf: int
    exp: int


class AccessTokens:
    """Signs and verifies. Time is passed in."""

    def __init__(self, keys: KeyRing, settings: TokenSettings) -> None:
        self._keys = keys
        self._settings = settings
        self._known: dict[bytes, _Claims] = {}  # by digest: what was signed once is signed for ever, and no token is kept

    def expiry(self, now: datetime) -> datetime:
        """When a token issued now expires: counted from the whole second."""
        return now.replace(microsecond=0) + self._settings.lifetime

    def issue(self, *, user_id: str, login_id: str, role: Role, token_id: str, now: datetime) -> SecretStr:
        issued = int(now.timestamp())
        claims: dict[str, object] = {
            "iss": self._settings.issuer,
            "aud": self._settings.audience,
            "sub": user_id,
            "sid": login_id,
            "jti": token_id,
            "role": role.value,
            "iat": issued,
            "nbf": issued,
            "exp": int(self.expiry(now).timestamp()),
        }
        headers = {"kid": self._keys.signing.verifying.kid, "typ": TYPE}
        return SecretStr(jwt.encode(claims, self._keys.signing.key, algorithm=ALGORITHM, headers=headers))

    def verify(self, token: SecretStr, now: datetime) -> AccessClaims:
        """What the token says, if it is ours and this is its time.

        Raises:
            NotAuthenticated: whatever is wrong with it, in the same words.
        """
        text = token.get_secret_value()
        name = hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
        claims = self._known.get(name)
        if claims is None:
            claims = self._genuine(text)
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[name] = claims
        present, leeway = now.timestamp(), self._settings.leeway.total_seconds()
        if present >= claims.exp + leeway or max(claims.nbf, claims.iat) > present + leeway:
            raise bad_token()
        return AccessClaims(claims.sub, claims.sid, claims.role, datetime.fromtimestamp(claims.exp, UTC))

    def _genuine(self, text: str) -> _Claims:
        """The claims of a token that one of our keys signed. Nothing it says is used before that but the id of the key."""
        if len(text) > LONGEST:
            raise bad_token()
        try:
            header = jwt.get_unverified_header(text)
            key = self._keys.key(header.get("kid"))
            if key is None or header.get("typ") != TYPE:
                raise bad_token()
            settings = self._settings
            return _Claims.model_validate(
                jwt.decode(text, key, [ALGORITHM], _OPTIONS, audience=settings.audience, issuer=settings.issuer)
            )
        except (jwt.PyJWTError, ValueError):  # claims of other types are a ValueError
            raise bad_token() from None


def _thumbprint(key: Ed25519PublicKey) -> str:
    raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    members = {"crv": "Ed25519", "kty": "OKP", "x": _base64url(raw)}  # those that RFC 8037 names, sorted
    return _base64url(hashlib.sha256(json.dumps(members, sort_keys=True, separators=(",", ":")).encode()).digest())


def _base64url(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _no_key(half: str) -> ConfigurationError:
    return ConfigurationError(
        f"what should be the {half} half of a token key is no Ed25519 key in PEM without a password",
        not_done="No token can be checked or made",
        next_step="Make one with `openssl genpkey -algorithm ed25519`",
    )
