"""The folder that everything is kept in, handed to each command, and how a command is written so that it finds it again."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

import typer

DEFAULT_HOME = Path(".algotrendy")
HOME_VARIABLE = "ALGOTRENDY_HOME"
_NAME = "algotrendy"


class HomeContext(typer.Context):
    """The context of a command; `obj` is the home folder, which need not exist yet."""

    obj: Path


def program(home: Path) -> str:
    """How this program is called with this home from here, to be pasted into a shell."""
    called = Path(sys.argv[0])
    on_path = shutil.which(_NAME)
    is_other = called.name == _NAME and (on_path is None or Path(on_path).resolve() != called.resolve())
    name = shlex.quote(os.path.relpath(called)) if is_other else _NAME
    usual = Path(os.environ.get(HOME_VARIABLE) or DEFAULT_HOME)
    return name if home == usual else f"{name} --home {shlex.quote(str(home))}"
