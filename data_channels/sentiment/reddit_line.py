"""The line below PRAW: each request is sent once, and whatever goes wrong is one of our errors at once.

Left alone, prawcore asks again up to twice with pauses, sleeps when a limit is near (up to ten minutes), follows what the
environment says of proxies, and names the error differently for each cause. Asking again and waiting are the hub's to decide.
"""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable

import prawcore
import requests
import urllib3.exceptions

from trading_core.domain.errors import ChannelRefused, ChannelUnavailable

MAX_BYTES = 2_000_000
"""Of one answer, decompressed. A hundred long posts with all their fields come to less than half of it."""

_PIECE = 65_536  # bytes


class TokenRefused(Exception):
    """401, to the login or to a request."""


class OneShot(prawcore.Requestor):  # type: ignore[misc]  # prawcore tells no types
    """prawcore's way to the network, which answers or raises, and never lets prawcore try again.

    Args:
        session: sends; the others are prawcore's own, too.
        timeout: seconds, to the first byte and to the last.
        count: called for each request.
    """

    def __init__(
        self,
        user_agent: str,
        oauth_url: str,
        reddit_url: str,
        *,
        session: requests.Session,
        timeout: float,
        count: Callable[[], None],
    ) -> None:
        super().__init__(user_agent, oauth_url=oauth_url, reddit_url=reddit_url, session=session, timeout=timeout)
        self._count_request = count

    def request(self, *args: object, timeout: float | None = None, **kwargs: object) -> requests.Response:
        """Send one request.

        Raises:
            ChannelUnavailable: there is no answer, or none that can be used.
            ChannelRefused: 402 or 403.
            TokenRefused: 401.
        """
        self._count_request()
        kwargs |= {"allow_redirects": False, "stream": True}
        try:
            # prawcore passes its own default here; the source's limit goes before it.
            with super().request(*args, timeout=self.timeout, **kwargs) as response:
                answer = _whole(response, time.monotonic() + self.timeout)
        except prawcore.RequestException as error:
            raise _lost(error.original_exception) from None
        except urllib3.exceptions.HTTPError as error:
            raise _lost(error) from None
        _check(answer)
        # With these in sight prawcore sleeps in the thread; the pace is the hub's, and Reddit says 429 when it is too fast.
        answer.headers.pop("x-ratelimit-remaining", None)
        return answer


def unreadable(what: str) -> ChannelUnavailable:
    """An answer that is not as it was. `what` is in our words: nothing of the answer is quoted."""
    return ChannelUnavailable(
        f"reddit's answer could not be read: {what}",
        not_done="Nothing of this answer was used",
        next_step="If it stays so, Reddit has changed; look for a newer version of this desk",
    )


def _lost(error: Exception) -> ChannelUnavailable:
    if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError):
        return ChannelUnavailable("reddit took too long")
    return ChannelUnavailable(f"the connection to reddit failed ({type(error).__name__})")


def _whole(response: requests.Response, until: float) -> requests.Response:
    """The same answer, read to its end but past no limit: the time limit of `requests` is for each piece alone."""
    body = bytearray()
    # Whatever has arrived, at once: `iter_content` would wait until a piece is full.
    while chunk := response.raw.read1(_PIECE, decode_content=True):
        body += chunk
        if len(body) > MAX_BYTES:
            raise ChannelUnavailable(f"reddit's answer is larger than {MAX_BYTES} bytes")
        if time.monotonic() > until:
            raise ChannelUnavailable("reddit took too long")
    answer = requests.Response()
    answer.status_code, answer.headers, answer.url = response.status_code, response.headers, response.url
    answer.encoding, answer.raw = "utf-8", io.BytesIO(bytes(body))
    return answer


def _check(answer: requests.Response) -> None:
    status = answer.status_code
    if status == 401:
        raise TokenRefused
    if status in (402, 403):
        raise ChannelRefused(
            f"reddit refused (HTTP {status}): a community is private, or the application or its user agent is blocked",
            not_done="It is not asked again",
            next_step="Check the communities and the application at https://www.reddit.com/prefs/apps, then restart",
        )
    if status == 429:
        wait = _seconds(answer.headers.get("retry-after")) or _seconds(answer.headers.get("x-ratelimit-reset"))
        raise ChannelUnavailable("reddit: too many requests (HTTP 429)", retry_after=wait)
    if status in (301, 302, 404):
        raise ChannelUnavailable(
            f"reddit knows no such community (HTTP {status})", next_step="Check the names of the communities that are read"
        )
    if status != 200:
        raise ChannelUnavailable(f"reddit: HTTP {status}")
    if not answer.content.strip():
        raise ChannelUnavailable("reddit's answer is empty")
    try:
        answer.json()
    except ValueError:
        what = "a page (HTML)" if answer.content.lstrip()[:1] == b"<" else "not JSON, or only a part of it"
        raise ChannelUnavailable(f"reddit's answer is {what}") from None


def _seconds(told: str | None) -> float | None:
    """Seconds of a header; None when it is missing or no number. Reddit tells seconds, with or without a fraction."""
    try:
        seconds = float(told) if told is not None else math.nan
    except ValueError:
        return None
    return seconds if 0 <= seconds < 86_400 else None
