"""Venue keys at rest: sealed, bound to their row, rotated, and never shown."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from sqlalchemy import update

from trading_core.audit.verify import verify_audit
from trading_core.auth.permissions import Action, Principal, operator
from trading_core.domain.clock import SimulatedClock
from trading_core.domain.errors import ConfigurationError, InvalidInput, NotPermitted, SecretUnreadable
from trading_core.persistence.credential_tables import venue_credentials
from trading_core.persistence.session import Database
from trading_core.secrets.credentials import StoredCredential, VenueCredentials, VenueKeys
from trading_core.secrets.environment import EnvironmentSecrets
from trading_core.secrets.port import SecretChain
from trading_core.secrets.sealing import KEY_BYTES, NONCE_BYTES, KeyRing, Sealed

AT = datetime(2025, 3, 1, tzinfo=UTC)
OLD, NEW = bytes(range(32)), bytes(range(32, 64))
ADMIN = Principal("anna", frozenset({Action.MANAGE_CREDENTIALS}), frozenset())
BROKER = Principal("desk", frozenset({Action.USE_CREDENTIALS}), frozenset())
KEYS = VenueKeys(SecretStr("AK-binance"), SecretStr("SK-binance"))
OKX = VenueKeys(SecretStr("AK-okx"), SecretStr("SK-okx"), SecretStr("PP-okx"))
TEXT = st.text(st.characters(exclude_categories=["Cs"]))


def encoded(*keys: bytes) -> SecretStr:
    return SecretStr(",\n".join(base64.b64encode(key).decode() for key in keys))


@given(text=TEXT, place=st.lists(TEXT, min_size=1, max_size=3))
def test_what_is_sealed_opens_at_its_place_and_shows_nothing(text: str, place: list[str]) -> None:
    ring = KeyRing(NEW, OLD)
    sealed = ring.seal(text, *place)
    assert ring.open(sealed, *place) == text
    assert KeyRing(OLD, NEW).open(sealed, *place) == text
    assert sealed != ring.seal(text, *place)  # another nonce each time
    assert repr(sealed) == f"Sealed(key_id={ring.current!r})"


@given(data=st.data(), text=TEXT)
def test_any_change_to_any_part_is_found(data: st.DataObject, text: str) -> None:
    ring = KeyRing(NEW, OLD)
    sealed = ring.seal(text, "binance", "main")
    part = data.draw(st.sampled_from(["nonce", "ciphertext"]))
    value: bytes = getattr(sealed, part)
    bit = data.draw(st.integers(0, len(value) * 8 - 1))
    flipped = bytes(byte ^ (1 << bit % 8 if index == bit // 8 else 0) for index, byte in enumerate(value))
    changed = [
        replace(sealed, **{part: flipped}),
        replace(sealed, **{part: value[:-1]}),
        replace(sealed, **{part: b""}),
        replace(sealed, key_id=KeyRing(OLD).current),
    ]
    for one in changed:
        with pytest.raises(SecretUnreadable, match="'binance' / 'main' is not what was written"):
            ring.open(one, "binance", "main")
    for place in (("binance", "other"), ("kraken", "main"), ("binance",), ("binance main",), ("main", "binance")):
        with pytest.raises(SecretUnreadable, match="is not what was written"):
            ring.open(sealed, *place)


def test_another_key_is_told_from_a_changed_row() -> None:
    with pytest.raises(SecretUnreadable, match=f"under the key '{KeyRing(OLD).current}', which is not there"):
        KeyRing(NEW).open(KeyRing(OLD).seal("text", "binance", "main"), "binance", "main")


def test_the_cipher_is_aes_256_gcm() -> None:
    """NIST's own vector for AES-256-GCM of nothing: test case 13 of the specification of GCM, with a key and nonce of zeros."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    assert AESGCM(bytes(KEY_BYTES)).encrypt(bytes(NONCE_BYTES), b"", None).hex() == "530f8afbc74536b9a963b4f1c4cb738b"
    ring = KeyRing(OLD, random_bytes=bytes)
    bound = f'["algotrendy sealed 1", "{ring.current}", "binance", "main"]'.encode()
    assert ring.seal("text", "binance", "main").ciphertext == AESGCM(OLD).encrypt(bytes(NONCE_BYTES), b"text", bound)


@pytest.mark.parametrize(
    ("text", "number"),
    [("", 1), ("not base64!", 1), (base64.b64encode(b"short").decode(), 1), (f"{base64.b64encode(OLD).decode()} x=", 2)],
)
def test_what_is_no_key_is_refused_without_showing_it(text: str, number: int) -> None:
    with pytest.raises(ConfigurationError, match=f"key {number} of 'credentials-key' is not 32 bytes in base64") as caught:
        KeyRing.parse(SecretStr(text))
    assert not text or text not in str(caught.value)
    with pytest.raises(ConfigurationError, match="has 32 bytes"):
        KeyRing()


async def test_keys_come_from_the_secret_providers() -> None:
    key = bytes([255, 254, 253, 252] * 8)
    for text in (encoded(key, OLD).get_secret_value(), base64.urlsafe_b64encode(key).decode()):
        ring = await KeyRing.load(SecretChain([EnvironmentSecrets({"ALGOTRENDY_CREDENTIALS_KEY": text})]))
        assert ring.current == KeyRing(key).current
        assert text not in repr(ring)
    with pytest.raises(ConfigurationError, match=r"no secret 'credentials-key'.*openssl rand -base64 32"):
        await KeyRing.load(SecretChain([EnvironmentSecrets({})]))


@pytest.fixture
async def database(location: str) -> AsyncIterator[Database]:
    async with await Database.open(location) as database:
        yield database


def service(database: Database, *keys: bytes, days: int = 0) -> VenueCredentials:
    return VenueCredentials(database, KeyRing(*(keys or (OLD,))), SimulatedClock(AT + timedelta(days=days)))


async def trail(database: Database) -> list[tuple[str, str, str, str | None, str | None]]:
    assert (await verify_audit(operator("anna"), database, print)).holds
    async with database.reading() as uow:
        return [(row.actor, row.action, row.subject_id, row.before, row.after) async for row in uow.audit.walk()]


async def test_keys_are_kept_and_changed_and_forgotten(database: Database) -> None:
    credentials = service(database)
    await credentials.put(ADMIN, "binance", "main", KEYS)
    await credentials.put(ADMIN, "okx", "main", OKX)
    assert await credentials.get(BROKER, "binance", "main") == KEYS
    assert await credentials.get(BROKER, "okx", "main") == OKX
    assert await credentials.get(BROKER, "okx", "other") is None
    await service(database, days=1).put(ADMIN, "binance", "main", OKX)
    assert await credentials.get(BROKER, "binance", "main") == OKX
    day = AT + timedelta(days=1)
    key_id = KeyRing(OLD).current
    assert await credentials.list(ADMIN) == (
        StoredCredential("binance", "main", key_id, day, day),
        StoredCredential("okx", "main", key_id, AT, AT),
    )
    assert await credentials.delete(ADMIN, "binance", "main")
    assert not await credentials.delete(ADMIN, "binance", "main")
    assert await credentials.get(BROKER, "binance", "main") is None


async def test_nothing_of_a_key_is_shown_or_stored_in_clear(database: Database) -> None:
    credentials = service(database)
    await credentials.put(ADMIN, "okx", "main", OKX)
    async with database.reading() as uow:
        record = await uow.credentials.get("okx", "main")
    assert record is not None
    shown = f"{OKX!r}{record!r}{await credentials.list(ADMIN)!r}{await trail(database)!r}{credentials!r}"
    stored = record.nonce + record.ciphertext
    for secret in ("AK-okx", "SK-okx", "PP-okx"):
        assert secret not in shown
        assert secret.encode() not in stored
    assert record.ciphertext.hex() not in shown


async def test_every_change_is_on_the_trail(database: Database) -> None:
    await service(database).put(ADMIN, "okx", "main", OKX)
    await service(database, NEW, OLD, days=1).rotate(ADMIN)
    await service(database, NEW).delete(ADMIN, "okx", "main")
    old, new = (f'{{"created_at":"2025-03-01T00:00:00Z","key_id":"{KeyRing(key).current}"}}' for key in (OLD, NEW))
    assert await trail(database) == [
        ("anna", "credential.stored", "okx/main", None, old),
        ("anna", "credential.rotated", "okx/main", old, new),
        ("anna", "credential.deleted", "okx/main", new, None),
    ]


async def test_rotation_encrypts_all_anew_once(database: Database) -> None:
    for label in ("a", "b", "c"):
        await service(database).put(ADMIN, "okx", label, OKX)
    await service(database, NEW, OLD).put(ADMIN, "okx", "new", KEYS)
    rotating = service(database, NEW, OLD, days=1)
    assert await rotating.rotate(ADMIN) == 3
    assert await rotating.rotate(ADMIN) == 0
    only_new = service(database, NEW)
    assert [await only_new.get(BROKER, "okx", label) for label in ("a", "b", "c", "new")] == [OKX, OKX, OKX, KEYS]
    listed = await only_new.list(ADMIN)
    assert {one.key_id for one in listed} == {KeyRing(NEW).current}
    assert [(one.created_at, one.sealed_at) for one in listed if one.label == "a"] == [(AT, AT + timedelta(days=1))]
    with pytest.raises(SecretUnreadable, match="'okx' / 'a' is encrypted under the key"):
        await service(database).get(BROKER, "okx", "a")


async def test_a_row_that_does_not_open_stops_the_rotation_whole_and_is_named(database: Database) -> None:
    for label in ("a", "b"):
        await service(database).put(ADMIN, "okx", label, OKX)
    async with database.transaction() as uow:
        b = await uow.credentials.get("okx", "b")
        assert b is not None
        moved = update(venue_credentials).where(venue_credentials.c.label == "a")
        await uow.credentials._connection.execute(moved.values(nonce=b.nonce, ciphertext=b.ciphertext))
    before = await service(database).list(ADMIN)
    with pytest.raises(SecretUnreadable, match="'okx' / 'a' is not what was written"):
        await service(database, NEW, OLD).rotate(ADMIN)
    assert await service(database).list(ADMIN) == before
    assert len(await trail(database)) == 2
    assert await service(database).get(BROKER, "okx", "b") == OKX


async def test_managing_keys_and_using_them_are_two_rights(database: Database) -> None:
    credentials = service(database)
    await credentials.put(ADMIN, "okx", "main", OKX)
    with pytest.raises(NotPermitted, match="'anna' may not credentials:use"):
        await credentials.get(ADMIN, "okx", "main")
    for attempt in (
        credentials.put(BROKER, "okx", "main", KEYS),
        credentials.list(BROKER),
        credentials.delete(BROKER, "okx", "main"),
        credentials.rotate(BROKER),
    ):
        with pytest.raises(NotPermitted, match="'desk' may not credentials:manage"):
            await attempt
    assert await credentials.get(BROKER, "okx", "main") == OKX
    assert len(await trail(database)) == 1


@pytest.mark.parametrize(
    ("venue", "label"), [("", "main"), ("okx", ""), ("o\nkx", "main"), ("okx", " main"), ("x" * 101, "main")]
)
async def test_names_that_nobody_could_read_are_refused(database: Database, venue: str, label: str) -> None:
    with pytest.raises(InvalidInput, match=r"is no (venue|label)"):
        await service(database).put(ADMIN, venue, label, KEYS)


async def test_blank_keys_are_refused_and_line_ends_are_left_out(database: Database) -> None:
    credentials = service(database)
    with pytest.raises(InvalidInput, match="the secret is empty"):
        await credentials.put(ADMIN, "okx", "main", VenueKeys(SecretStr("AK"), SecretStr(" \n")))
    await credentials.put(ADMIN, "okx", "main", VenueKeys(SecretStr("AK\n"), SecretStr("SK")))
    assert await credentials.get(BROKER, "okx", "main") == VenueKeys(SecretStr("AK"), SecretStr("SK"))


def test_a_sealed_text_needs_no_more_than_its_row() -> None:
    sealed = KeyRing(OLD).seal("text", "p")
    assert KeyRing(OLD).open(Sealed(sealed.key_id, sealed.nonce, sealed.ciphertext), "p") == "text"
