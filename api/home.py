"""Where everything is kept, handed to each command, and how a command is written so that it finds it again."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

DEFAULT_HOME = Path(".algotrendy")
HOME_VARIABLE = "ALGOTRENDY_HOME"
DATABASE_VARIABLE = "ALGOTRENDY_DATABASE"
STORE_VARIABLE = "ALGOTRENDY_TIMESERIES"
_NAME = "algotrendy"

Ledger = Annotated[
    str | None,
    typer.Option(
        "--database",
        metavar="URL",
        envvar=DATABASE_VARIABLE,
        help="One ledger for all sessions: postgresql://… or a path (the variable keeps a password from other users' eyes). "
        "Default: a file for each session in the home folder.",
    ),
]


class HomeContext(typer.Context):
    """The context of a command; `obj` is the home folder, which need not exist yet."""

    obj: Path


def program(home: Path, database: str | None = None) -> str:
    """How this program is called with this home and database from here, to be pasted into a shell; without a password."""
    called = Path(sys.argv[0])
    on_path = shutil.which(_NAME)
    is_other = called.name == _NAME and (on_path is None or Path(on_path).resolve() != called.resolve())
    name = shlex.quote(os.path.relpath(called)) if is_other else _NAME
    usual = Path(os.environ.get(HOME_VARIABLE) or DEFAULT_HOME)
    call = name if home == usual else f"{name} --home {shlex.quote(str(home))}"
    if database is None or database == os.environ.get(DATABASE_VARIABLE):
        return call
    return f"{DATABASE_VARIABLE}={shlex.quote(shown_location(database))} {call}"


def shown_location(database: str) -> str:
    """A database for people: its path, or its URL without the password."""
    from trading_core.persistence.engines import parse_location, shown

    return shown(parse_location(database))
