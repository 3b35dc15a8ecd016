"""Taking secrets out of what is about to be logged. What only looks like one is taken out too."""

from __future__ import annotations

import re

MASK = "[masked]"

# In this order: each works on what the ones before left. Each takes time in proportion to the text: strangers write some of them.
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), MASK),
    # Who signs in, in a URL: `postgresql://name:password@host`.
    (re.compile(r"(?<=://)[^\s/?#]*@"), f"{MASK}@"),
    (re.compile(r"\b(Bearer|Basic|Digest)\s+[A-Za-z0-9+/=._~-]+", re.IGNORECASE), rf"\1 {MASK}"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){1,4}"), MASK),  # JWT: its header is JSON and begins with `{"`
    (re.compile(r"(?<![A-Za-z0-9])at[rk]?_[A-Za-z0-9_-]{16,}"), MASK),  # the desk's refresh tokens and API keys
    (re.compile(r"(?<![A-Za-z0-9])(?:sk|pk|rk)-[A-Za-z0-9_-]{12,}"), MASK),  # keys of model servers
    (re.compile(r"\$argon2[a-z]*\$[^\s\"']+"), MASK),
    (
        re.compile(
            r"(?P<name>passwords?|passwd|passphrase|secret|token|credential|api[_-]?key|private[_-]?key|authorization|signature)"
            r"(?P<gap>[\"']?\s*[=:]\s*)(?!\[masked\])(?:\"[^\"]*\"?|'[^']*'?|[^\s\"',;&)}\]]+)",
            re.IGNORECASE,
        ),
        rf"\g<name>\g<gap>{MASK}",
    ),
)
_SECRET_NAME = re.compile(
    r"passw|passphrase|secret|token|credential|api_?key|private_?key|authorization|cookie|signature", re.IGNORECASE
)


def masked(text: str) -> str:
    """`text` without passwords, tokens and keys."""
    for pattern, instead in _PATTERNS:
        text = pattern.sub(instead, text)
    return text


def is_secret_name(name: str) -> bool:
    """Whether what has this name is not to be shown at all. Counts of a model's tokens have such names and are no secrets."""
    return bool(_SECRET_NAME.search(name)) and not name.endswith("tokens")
