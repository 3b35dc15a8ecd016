"""`graph`: the cycle as a diagram, drawn from what runs."""

from __future__ import annotations

import typer


def graph() -> None:
    """Print the trading cycle as a Mermaid diagram."""
    from graph.trading_cycle import build

    typer.echo(build().get_graph().draw_mermaid().rstrip())
