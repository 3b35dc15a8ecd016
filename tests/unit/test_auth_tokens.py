"""Access tokens: only ours, only in their time, only as they were signed."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from tests.unit.auth_cases import START, random_bytes
from trading_core.auth.roles import Role
from trading_core.auth.tokens import AccessClaims, AccessTokens, KeyRing, SigningKey, TokenSettings, VerifyingKey
from trading_core.domain.errors import ConfigurationError, NotAuthenticated

SETTINGS = TokenSettings()
KEY = SigningKey.generate(random_bytes(1).randbytes)
OTHER_KEY = SigningKey.generate(random_bytes(2).randbytes)
TOKENS = AccessTokens(KeyRing(KEY), SETTINGS)
SECOND = timedelta(seconds=1)
ISSUED = int(START.timestamp())
CLAIMS: dict[str, object] = {
    "iss": "algotrendy",
    "aud": "algotrendy-api",
    "sub": "u1",
    "sid": "l1",
    "jti": "t1",
    "role": "trader",
    "iat": ISSUED,
    "nbf": ISSUED,
    "exp": ISSUED + 600,
}


def issued(tokens: AccessTokens = TOKENS, now: datetime = START) -> SecretStr:
    return tokens.issue(user_id="u1", login_id="l1", role=Role.TRADER, token_id="t1", now=now)  # noqa: S106 - an id


def signed(claims: dict[str, object], key: SigningKey = KEY, **headers: object) -> SecretStr:
    header = {"kid": KEY.verifying.kid, "typ": "at+jwt", **headers}
    # Below PyJWT's own checks of what it signs: somebody who spoils a token does not use them.
    return SecretStr(jwt.PyJWS().encode(json.dumps(claims).encode(), key.key, algorithm="EdDSA", headers=header))


def refused(token: SecretStr, now: datetime = START, tokens: AccessTokens = TOKENS) -> None:
    with pytest.raises(NotAuthenticated) as error:
        tokens.verify(token, now)
    assert str(error.value) == "the token was not accepted. Nothing was done. Log in again, or use a new key."
    assert error.value.__cause__ is None
    assert error.value.__suppress_context__ or error.value.__context__ is None


def part(value: object) -> bytes:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")


def test_a_token_says_who_which_login_and_until_when() -> None:
    claims = TOKENS.verify(issued(), START)
    assert claims == AccessClaims("u1", "l1", Role.TRADER, START.replace(microsecond=0) + timedelta(minutes=10))
    assert claims.expires_at == TOKENS.expiry(START)
    assert TOKENS.verify(signed(CLAIMS), START) == claims  # the tests' own tokens are good before they are spoilt


def test_its_time_is_compared_with_the_clock_passed_in_and_a_small_leeway() -> None:
    token = issued()
    expiry = START.replace(microsecond=0) + SETTINGS.lifetime
    last = expiry + SETTINGS.leeway - timedelta(microseconds=1)
    TOKENS.verify(token, last)
    refused(token, last + timedelta(microseconds=1))
    first = START.replace(microsecond=0) - SETTINGS.leeway
    TOKENS.verify(token, first)
    refused(token, first - timedelta(microseconds=1))
    century = datetime(2125, 1, 1, tzinfo=UTC)
    TOKENS.verify(issued(now=century), century)  # no wall clock has a say


@pytest.mark.parametrize("name", ["nbf", "iat"])
def test_a_token_from_the_future_is_refused(name: str) -> None:
    refused(signed(CLAIMS | {name: ISSUED + 60}))


@pytest.mark.parametrize("name", CLAIMS)
def test_every_claim_is_required(name: str) -> None:
    refused(signed({key: value for key, value in CLAIMS.items() if key != name}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("iss", "somebody"),
        ("iss", ["algotrendy"]),
        ("aud", "another-api"),
        ("aud", ["algotrendy-api", "another-api"]),
        ("aud", ["algotrendy-api"]),
        ("sub", ""),
        ("sub", 1),
        ("sid", None),
        ("sid", ""),
        ("jti", 7),
        ("role", "root"),
        ("role", ["admin"]),
        ("exp", True),
        ("exp", float(ISSUED + 600)),
        ("exp", str(ISSUED + 600)),
        ("exp", None),
        ("exp", "never"),
        ("iat", True),
        ("nbf", float("nan")),
    ],
)
def test_claims_of_another_value_or_type_are_refused(name: str, value: object) -> None:
    refused(signed(CLAIMS | {name: value}))


def test_a_token_without_a_signature_is_refused() -> None:
    refused(SecretStr(jwt.encode(CLAIMS, "", algorithm="none", headers={"kid": KEY.verifying.kid, "typ": "at+jwt"})))
    header, payload, _ = issued().get_secret_value().split(".")
    refused(SecretStr(f"{header}.{payload}."))
    for name in ("none", "None", "NONE"):
        unsigned = part({"alg": name, "kid": KEY.verifying.kid, "typ": "at+jwt"}) + b"." + part(CLAIMS)
        refused(SecretStr(f"{unsigned.decode()}."))


def test_another_key_is_refused_under_its_own_id_and_under_ours() -> None:
    refused(signed(CLAIMS, OTHER_KEY))
    refused(signed(CLAIMS, OTHER_KEY, kid=OTHER_KEY.verifying.kid))


@pytest.mark.parametrize("kid", ["", "unknown", "../../etc/passwd", "' OR 1=1 --"])
def test_a_key_that_the_ring_does_not_have_is_not_looked_for_elsewhere(kid: str) -> None:
    refused(signed(CLAIMS, OTHER_KEY, kid=kid))
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": part("x").decode()}
    refused(signed(CLAIMS, OTHER_KEY, kid=kid, jwk=jwk, jku="https://example.org/keys"))


def test_a_token_that_names_no_key_is_refused() -> None:
    refused(SecretStr(jwt.encode(CLAIMS, KEY.key, algorithm="EdDSA", headers={"typ": "at+jwt"})))


@pytest.mark.parametrize("kind", ["JWT", "rt+jwt", "", "dpop+jwt"])
def test_another_kind_of_token_is_refused_though_our_key_signed_it(kind: str) -> None:
    refused(signed(CLAIMS, typ=kind))


@pytest.mark.parametrize("raw", [True, False])
def test_the_public_key_is_no_secret_for_another_algorithm(raw: bool) -> None:
    public = KEY.verifying.key
    secret = public.public_bytes(Encoding.Raw, PublicFormat.Raw) if raw else KEY.verifying.to_pem().encode()
    text = part({"alg": "HS256", "kid": KEY.verifying.kid, "typ": "at+jwt"}) + b"." + part(CLAIMS)
    mac = base64.urlsafe_b64encode(hmac.new(secret, text, hashlib.sha256).digest()).rstrip(b"=")
    refused(SecretStr((text + b"." + mac).decode()))


def test_an_algorithm_that_is_not_pinned_is_refused_even_with_a_key_of_its_own() -> None:
    header = {"kid": KEY.verifying.kid, "typ": "at+jwt"}
    refused(SecretStr(jwt.encode(CLAIMS, ec.generate_private_key(ec.SECP256R1()), algorithm="ES256", headers=header)))
    refused(SecretStr(jwt.encode(CLAIMS, rsa.generate_private_key(65537, 2048), algorithm="RS256", headers=header)))


@given(st.data())
def test_no_bit_of_a_token_can_be_changed(data: st.DataObject) -> None:
    parts = issued().get_secret_value().split(".")
    which = data.draw(st.integers(0, 2))
    raw = bytearray(base64.urlsafe_b64decode(parts[which] + "=="))
    bit = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[bit // 8] ^= 1 << bit % 8
    parts[which] = base64.urlsafe_b64encode(bytes(raw)).rstrip(b"=").decode()
    refused(SecretStr(".".join(parts)))


@given(st.text(max_size=200) | st.builds(".".join, st.lists(st.text("abcEJ01_-=", max_size=30), min_size=2, max_size=5)))
def test_what_is_no_token_is_refused_in_the_same_words(text: str) -> None:
    refused(SecretStr(text))


@pytest.mark.parametrize("header", [[], 7, None, {"alg": 7}, {"alg": "EdDSA", "kid": ["a"]}, {"alg": "EdDSA", "kid": 7}])
def test_a_header_of_strange_types_is_refused(header: object) -> None:
    refused(SecretStr((part(header) + b"." + part(CLAIMS) + b"." + part("s")).decode()))


def test_a_token_past_every_length_is_not_looked_at() -> None:
    refused(signed(CLAIMS | {"more": "x" * 5_000}))


def test_keys_are_rotated_by_their_id() -> None:
    old = issued()
    both = AccessTokens(KeyRing(OTHER_KEY, [KEY.verifying]), SETTINGS)
    assert both.verify(old, START) == TOKENS.verify(old, START)
    new = issued(both)
    assert jwt.get_unverified_header(new.get_secret_value())["kid"] == OTHER_KEY.verifying.kid
    refused(new)  # a desk that has not heard of the new key
    after = AccessTokens(KeyRing(OTHER_KEY), SETTINGS)
    after.verify(new, START)
    refused(old, tokens=after)


def test_the_id_of_a_key_is_its_thumbprint() -> None:
    # The example of RFC 8037, appendix A.3.
    x = base64.urlsafe_b64decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo=")
    prefix = bytes.fromhex("302a300506032b6570032100")  # SubjectPublicKeyInfo of Ed25519 (RFC 8410, section 10.1)
    pem = f"-----BEGIN PUBLIC KEY-----\n{base64.b64encode(prefix + x).decode()}\n-----END PUBLIC KEY-----\n"
    assert VerifyingKey.from_pem(pem).kid == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_keys_are_kept_as_pem() -> None:
    read = SigningKey.from_pem(KEY.to_pem())
    assert read.verifying.kid == KEY.verifying.kid == VerifyingKey.from_pem(KEY.verifying.to_pem()).kid
    assert AccessTokens(KeyRing(read), SETTINGS).verify(issued(), START).user_id == "u1"


def test_what_is_no_ed25519_key_is_refused_without_showing_it() -> None:
    other = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    for text in ("", "secret-stuff", other, KEY.verifying.to_pem()):
        with pytest.raises(ConfigurationError, match="private half") as error:
            SigningKey.from_pem(SecretStr(text))
        assert not text or text not in str(error.value)
    with pytest.raises(ConfigurationError, match="public half"):
        VerifyingKey.from_pem(KEY.to_pem().get_secret_value())


def test_nothing_shows_a_private_key_or_a_token() -> None:
    secret = KEY.to_pem().get_secret_value().splitlines()[1]
    token = issued()
    for thing in (KEY, KeyRing(KEY), TOKENS, KEY.to_pem(), vars(KEY), vars(TOKENS), token):
        assert secret not in repr(thing) + str(thing)
        assert token.get_secret_value() not in repr(thing) + str(thing)
