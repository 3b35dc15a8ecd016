"""Settings, pages and versions, by themselves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http.etags import etag_of, require_match
from api.http.pages import PageRequest, make_cursor
from api.http.problems import Problem, Stale, kind_of
from api.http.recent_logins import FOR, MOST, RecentLogins
from api.http.settings import ApiSettings, Environment
from tests.unit.auth_cases import START
from trading_core.auth.identity import Identity, principal_of
from trading_core.auth.roles import Role
from trading_core.domain import errors
from trading_core.domain.errors import AlgoTrendyError, ConfigurationError, InvalidInput
from trading_core.persistence.identity_records import User


def test_settings_come_from_variables() -> None:
    settings = ApiSettings.read(
        {
            "ALGOTRENDY_API_ENVIRONMENT": "production",
            "ALGOTRENDY_API_ALLOWED_ORIGINS": "https://a.example, https://b.example:8443",
            "ALGOTRENDY_API_TRUSTED_PROXIES": "10.0.0.0/8,::1",
            "ALGOTRENDY_API_HSTS": "on",
            "ALGOTRENDY_API_KEY": "the model's, and none of ours",
            "PATH": "/usr/bin",
        }
    )
    assert (settings.environment, settings.hsts, settings.shows_docs) == (Environment.PRODUCTION, True, False)
    assert settings.allowed_origins == ("https://a.example", "https://b.example:8443")
    assert [str(each) for each in settings.trusted_proxies] == ["10.0.0.0/8", "::1/128"]
    assert ApiSettings.read({}).shows_docs


def test_only_what_is_given_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALGOTRENDY_API_PER_IP", "1")
    assert ApiSettings() == ApiSettings.read({})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ALLOWED_ORIGIN", "https://a.example"),
        ("PER_IP", "many"),
        ("PER_IP", "0"),
        ("ENVIRONMENT", "staging"),
        ("ALLOWED_ORIGINS", "a.example"),
        ("ALLOWED_ORIGINS", "https://a.example/path"),
        ("TRUSTED_PROXIES", "everybody"),
        ("REQUEST_TIMEOUT", "0"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match="API"):
        ApiSettings.read({f"ALGOTRENDY_API_{name}": value})


def test_any_origin_is_for_development_only() -> None:
    assert ApiSettings.read({"ALGOTRENDY_API_ALLOWED_ORIGINS": "*"}).allowed_origins == ("*",)
    with pytest.raises(ConfigurationError, match="production"):
        ApiSettings.read({"ALGOTRENDY_API_ALLOWED_ORIGINS": "*", "ALGOTRENDY_API_ENVIRONMENT": "production"})


_numbers = st.integers(-(2**63) + 1, 2**63 - 1)


@given(st.lists(st.one_of(_numbers, st.text(max_size=50)), max_size=4))
def test_a_cursor_gives_back_what_it_was_made_of(parts: list[int | str]) -> None:
    kinds = [type(part) for part in parts]
    assert PageRequest(cursor=make_cursor(*parts)).after(*kinds) == tuple(parts)


@given(st.text(max_size=80))
def test_no_text_breaks_the_reading_of_a_cursor(text: str) -> None:
    try:
        found = PageRequest(cursor=text).after(int)
    except InvalidInput:
        return
    assert found is not None
    assert isinstance(found[0], int)


@given(st.lists(_numbers, unique=True, max_size=60), st.integers(1, 20))
def test_pages_put_together_are_the_list(rows: list[int], limit: int) -> None:
    rows.sort()
    seen: list[int] = []
    cursor: str | None = None
    while True:
        request = PageRequest(limit, cursor)
        after = request.after_number()
        rest = [row for row in rows if after is None or row > after][: request.wanted]
        page = request.page(rest, lambda row: (row,), lambda row: row)
        assert len(page.items) <= limit
        seen += page.items
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == rows


def test_a_version_that_was_changed_since_is_not_written_over() -> None:
    etag = etag_of(7)
    for good in (None, "*", etag, f'"6", {etag}'):
        require_match(good, etag)
    for other in ('"6"', "7", "", 'W/"7"'):
        with pytest.raises(Stale):
            require_match(other, etag)
    one = Problem(type="a", title="", status=1, detail="", not_done="", next_step="", instance="")
    assert etag_of(one) == etag_of(one.model_copy())
    assert etag_of(one) != etag_of(one.model_copy(update={"status": 2}))


def test_every_error_of_the_tree_has_a_status_that_fits() -> None:
    def leaves(kind: type[AlgoTrendyError]) -> list[type[AlgoTrendyError]]:
        return [kind] + [each for sub in kind.__subclasses__() for each in leaves(sub)]

    ours = [kind for kind in leaves(AlgoTrendyError) if kind.__module__ == errors.__name__ and kind is not AlgoTrendyError]
    assert len(ours) > 20
    for kind in ours:
        error = kind.__new__(kind)
        status, word, title = kind_of(error)
        assert status in {401, 403, 404, 409, 422, 503}, kind
        assert word == word.lower()
        assert title
    assert kind_of(AlgoTrendyError("x"))[0] == 500


def test_who_was_let_in_is_known_for_a_second_and_never_without_bound() -> None:
    now = [0.0]
    recent = RecentLogins(lambda: now[0])
    user = User("id", "alice", "a@example.org", Role.VIEWER, True, START)
    identity = Identity(user, principal_of(user), login_id="x")
    recent.put("token", identity, recent.era)
    assert recent.get("token") is identity
    assert recent.get("token ") is None
    now[0] = FOR
    assert recent.get("token") is None
    for number in range(3 * MOST):
        recent.put(str(number), identity, recent.era)
    assert len(recent._known) <= MOST
    assert "token" not in repr(recent._known)
    era = recent.era
    recent.clear()
    assert recent.get(str(3 * MOST - 1)) is None
    recent.put("token", identity, era)
    assert recent.get("token") is None, "it was looked up before the logins ended"
