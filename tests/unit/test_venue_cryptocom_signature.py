"""How the local Crypto.com checks who signed a request."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from tests.venues.cryptocom_auth import Asked, parameter_text, signature

PARAMS = st.recursive(
    st.one_of(st.text(max_size=5), st.integers(), st.none()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=5), PARAMS, max_size=4), st.randoms(use_true_random=False))
def test_a_signature_does_not_depend_on_the_order_of_parameters(params: dict[str, object], chance: Random) -> None:
    names = list(params)
    chance.shuffle(names)
    shuffled = {name: params[name] for name in names}
    assert parameter_text(shuffled) == parameter_text(params)
    asked = Asked("1", "private/get-trades", params, "key", "", "2")
    assert signature(asked, "a") == signature(Asked("1", "private/get-trades", shuffled, "key", "", "2"), "a")
    assert signature(asked, "a") != signature(asked, "b")
