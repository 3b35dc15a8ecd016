"""Which passwords are taken, and how they are kept."""

from __future__ import annotations

import asyncio
import unicodedata

import argon2
import bcrypt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from zxcvbn.frequency_lists import FREQUENCY_LISTS

from tests.unit.auth_cases import CHEAP, OTHER, PASSWORD, random_bytes
from trading_core.auth.passwords import MAXIMUM_LENGTH, HashCost, PasswordHasher, WeakPassword, check_password

COMMON = [word for word in FREQUENCY_LISTS["passwords"] if len(word) >= 12]


def hasher(cost: HashCost = CHEAP) -> PasswordHasher:
    return PasswordHasher(cost, random_bytes().randbytes)


def refused(password: str, *own_words: str) -> str:
    with pytest.raises(WeakPassword) as error:
        check_password(SecretStr(password), own_words)
    assert password not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    "password", ["correct horse battery staple", "пароль из четырёх слов", "x7#Kq!pW2z$L", "tulip ferry onyx"]
)
def test_long_and_unusual_passwords_are_taken_whatever_characters_they_are_made_of(password: str) -> None:
    check_password(SecretStr(password), ("alice", "alice@example.org"))


def test_the_length_is_bounded_on_both_sides() -> None:
    assert "shorter than 12" in refused("x7#Kq!pW2z$")
    assert "longer than 256" in refused("x7#Kq!pW2z$L" * 22)
    check_password(SecretStr(("x7#Kq!pW2z$L" * 22)[:MAXIMUM_LENGTH]))


def test_no_password_of_the_list_is_taken() -> None:
    assert len(COMMON) > 200
    for word in COMMON:
        refused(word)


@pytest.mark.parametrize(
    "password", ["passwordpassword", "Password1234", "P@ssw0rd12345", "a" * 40, "a" * 200, "qwertyuiop1234", "123456789012"]
)
def test_disguises_of_listed_passwords_are_seen(password: str) -> None:
    assert "tried first" in refused(password)


def test_full_width_letters_are_no_disguise() -> None:
    refused("ｐａｓｓｗｏｒｄ１２３４")


@pytest.mark.parametrize("password", ["maximilian-77", "maximilian@desk.example", "Maximilian2025"])
def test_ones_own_name_and_address_are_no_password(password: str) -> None:
    refused(password, "maximilian", "maximilian@desk.example")


async def test_words_of_one_user_do_not_stay_for_the_next() -> None:
    password = "zyqxwv-plimmuth"  # noqa: S105 - of nobody
    refused(password, "zyqxwv-plimmuth")
    check_password(SecretStr(password), ("bob",))


async def test_a_hash_is_argon2id_at_the_cost_asked_for_and_salted() -> None:
    kept = PasswordHasher()  # the defaults, in earnest
    known = await kept.hash(PASSWORD)
    assert known.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert await kept.verify(known, PASSWORD)
    assert not await kept.verify(known, OTHER)
    assert await kept.hash(PASSWORD) != known
    assert not kept.needs_rehash(known)


async def test_nobodys_hash_costs_what_everybodys_does_and_fits_no_password() -> None:
    kept = hasher(HashCost(memory_kib=16, passes=3))
    known = await kept.hash(PASSWORD)
    assert argon2.extract_parameters(kept._nobodys) == argon2.extract_parameters(known)
    assert not await kept.verify(None, PASSWORD)
    assert not await kept.verify(None, SecretStr(""))


@given(st.text(min_size=1, max_size=40))
def test_the_same_characters_are_the_same_password_however_they_are_typed(text: str) -> None:
    async def run() -> None:
        kept = hasher()
        known = await kept.hash(SecretStr(unicodedata.normalize("NFD", text)))
        assert await kept.verify(known, SecretStr(unicodedata.normalize("NFC", text)))
        assert not await kept.verify(known, SecretStr(text + "x"))

    asyncio.run(run())


async def test_a_hash_at_another_cost_verifies_and_is_to_be_replaced() -> None:
    old = await hasher(HashCost(memory_kib=16, passes=1)).hash(PASSWORD)
    kept = hasher()
    assert await kept.verify(old, PASSWORD)
    assert kept.needs_rehash(old)


@pytest.mark.parametrize("prefix", ["2a", "2b", "2y"])
@pytest.mark.parametrize("text", ["tulip ferry onyx", "é" * 60, "x" * 200])
async def test_bcrypt_hashes_verify_and_are_to_be_replaced(text: str, prefix: str) -> None:
    known = bcrypt.hashpw(text.encode()[:72], bcrypt.gensalt(4)).decode().replace("$2b$", f"${prefix}$")
    kept = hasher()
    assert await kept.verify(known, SecretStr(text))
    assert not await kept.verify(known, SecretStr("y" + text))
    assert not await kept.verify(known, SecretStr("\0" + text))
    assert kept.needs_rehash(known)


@pytest.mark.parametrize("damaged", ["", "x", "$argon2id$v=19$m=8,t=1,p=1$AAAA", "$2b$04$short", "$argon2id$", "plain text"])
async def test_a_damaged_hash_lets_nobody_in(damaged: str) -> None:
    kept = hasher()
    for text in ("", "x", damaged, PASSWORD.get_secret_value()):
        assert not await kept.verify(damaged, SecretStr(text))
    assert kept.needs_rehash(damaged)


async def test_a_password_past_every_length_is_refused_without_being_hashed() -> None:
    kept = hasher()
    long = SecretStr("x" * (MAXIMUM_LENGTH + 1))
    assert not await kept.verify(await kept.hash(long), long)


async def test_what_is_no_text_in_utf8_is_hashed_all_the_same() -> None:
    kept, odd = hasher(), SecretStr("tulip ferry \ud800 onyx")
    check_password(odd)
    assert await kept.verify(await kept.hash(odd), odd)


async def test_no_more_hashes_are_worked_on_at_once_than_allowed_though_callers_give_up() -> None:
    kept = PasswordHasher(HashCost(memory_kib=8, passes=1, at_once=1), random_bytes().randbytes)
    given_up = [asyncio.create_task(kept.hash(PASSWORD)) for _ in range(20)]
    await asyncio.sleep(0)
    for task in given_up:
        task.cancel()
    assert await kept.verify(await kept.hash(PASSWORD), PASSWORD)
    assert len(kept._threads._threads) == 1
