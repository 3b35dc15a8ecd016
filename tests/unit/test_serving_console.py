"""What `serve` prints when it has begun."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from api.chat.address import LOCAL_DESK
from api.console.screen import output, silent
from api.console.serving import Started, introduce
from api.first_login import FirstLogin

PASSWORD = "a-password-that-is-shown-once"  # noqa: S105  # of nobody


@pytest.mark.parametrize("quiet", [False, True])
def test_the_first_login_is_told_to_whoever_wants_silence_too(capsys: pytest.CaptureFixture[str], quiet: bool) -> None:
    login = FirstLogin(SecretStr(PASSWORD), ())
    console = silent() if quiet else output()
    introduce(console, Started("algotrendy", "http://127.0.0.1:1", False, [], [], login, ""), output())
    told = capsys.readouterr().out
    assert told.count(PASSWORD) == 1
    assert ("Stop" in told) is not quiet


@pytest.mark.parametrize(
    ("url", "next_step"), [(LOCAL_DESK, "desk chat  ("), ("http://127.0.0.1:81", "desk chat --url http://127.0.0.1:81  (")]
)
def test_the_chat_that_is_named_next_finds_this_desk(capsys: pytest.CaptureFixture[str], url: str, next_step: str) -> None:
    introduce(output(), Started("desk", url, False, [], [], FirstLogin(None, ()), ""), output())
    assert next_step in capsys.readouterr().out


def test_silence_is_kept_where_there_is_no_first_login(capsys: pytest.CaptureFixture[str]) -> None:
    introduce(silent(), Started("algotrendy", "http://127.0.0.1:1", False, [], [], FirstLogin(None, ()), ""), output())
    assert capsys.readouterr().out == ""
