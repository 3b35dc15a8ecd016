"""Client order ids fit every venue's rule, and no two of them meet."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_core.brokers.venues.client_ids import ClientIds, IdRule, fit
from trading_core.brokers.venues.profiles import PROFILES
from trading_core.domain.intents import make_client_order_id

RULES = st.sampled_from([profile.ids for profile in PROFILES.values()] + [IdRule(14), IdRule(64, also="#")])
IDS = st.text(min_size=1, max_size=60) | st.from_regex(r"z[0-9a-v]{13,35}", fullmatch=True)


@given(IDS, RULES)
def test_whatever_is_given_comes_out_as_the_venue_takes_it_and_always_the_same(given_id: str, rule: IdRule) -> None:
    fitted = fit(given_id, rule)
    assert rule.takes(fitted)
    assert fit(given_id, rule) == fitted


@given(st.sets(IDS, min_size=2, max_size=20), RULES)
def test_no_two_ids_meet(given_ids: set[str], rule: IdRule) -> None:
    made = {fit(given_id, rule) for given_id in given_ids}
    assert len(made) == len(given_ids)


@given(IDS, RULES)
def test_a_made_id_given_back_as_the_desks_own_does_not_meet_the_one_it_was_made_for(given_id: str, rule: IdRule) -> None:
    fitted = fit(given_id, rule)
    if fitted != given_id:
        assert fit(fitted, rule) != fitted


@given(st.binary(max_size=40))
def test_the_desks_own_ids_fit_every_venue_as_they_are(seed: bytes) -> None:
    own = make_client_order_id(hashlib.sha256(seed).hexdigest())
    assert {fit(own, profile.ids) for profile in PROFILES.values()} == {own}


@pytest.mark.parametrize("venue", PROFILES)
def test_a_uuid_is_fitted_where_it_does_not_pass(venue: str) -> None:
    uuid = "0f8fad5b-d9cb-469f-a165-70867728950e"
    fitted = fit(uuid, PROFILES[venue].ids)
    assert (fitted == uuid) is (venue not in ("okx", "kraken"))
    assert len(fitted) <= PROFILES[venue].ids.longest


def test_the_way_back_is_known_for_the_newest() -> None:
    ids = ClientIds(IdRule(18), kept=2)
    fitted = [ids.at_venue(f"order number {number}") for number in range(3)]
    assert [ids.at_desk(venue_id) for venue_id in fitted] == [fitted[0], "order number 1", "order number 2"]
    assert ids.at_desk(ids.at_venue("own1")) == "own1"


def test_a_rule_too_short_to_tell_ids_apart_is_an_error() -> None:
    with pytest.raises(ValueError, match="13"):
        IdRule(13)
