"""Secrets are typed without echo, or come in on standard input. They are never arguments: those are in the shell's history and
every other user of the machine sees them.
"""

from __future__ import annotations

import getpass
import sys

from pydantic import SecretStr

from trading_core.domain.errors import InvalidInput


def ask_secret(prompt: str, *, twice: bool = False) -> SecretStr:
    """One secret: from the terminal, or the next line of standard input when that is none.

    Args:
        twice: have it typed again; a line that a program wrote has no slips.

    Raises:
        InvalidInput: nothing was given, or the two were not the same.
    """
    if not sys.stdin.isatty():
        text = sys.stdin.readline().rstrip("\r\n")
    else:
        text = getpass.getpass(f"{prompt}: ")
        if twice and text and getpass.getpass(f"{prompt}, again: ") != text:
            raise InvalidInput("the two are not the same", not_done="Nothing was changed")
    if not text:
        raise InvalidInput(f"no {prompt.lower()} was given", not_done="Nothing was changed", next_step="Type it, or pipe it in")
    return SecretStr(text)
