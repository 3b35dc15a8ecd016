"""The folder that everything is kept in, handed to each command."""

from __future__ import annotations

from pathlib import Path

import typer

DEFAULT_HOME = Path(".algotrendy")


class HomeContext(typer.Context):
    """The context of a command; `obj` is the home folder, which need not exist yet."""

    obj: Path
