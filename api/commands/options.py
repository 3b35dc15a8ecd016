"""Exit statuses and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DONE, FAILED, REFUSED, WAITING, INTERRUPTED = 0, 1, 2, 3, 130

Limits = Annotated[Path | None, typer.Option("--limits", metavar="FILE", help="TOML file of risk limits.")]
Limit = Annotated[list[str] | None, typer.Option("--limit", metavar="KEY=VALUE", help="One limit; may be given again.")]
Venue = Annotated[str | None, typer.Option(help="binance, kraken, okx, … for live prices.")]
Standby = Annotated[
    str | None, typer.Option(metavar="VENUES", help="Whose prices are read while the venue's cannot be: kraken,okx.")
]
Symbols = Annotated[str | None, typer.Option(help="Such as BTC/USDT,ETH/USDT.")]
Broker = Annotated[
    str | None, typer.Option(metavar="NAME", help="Trade on this account at a venue instead of paper; see `brokers`.")
]
Model = Annotated[
    str,
    typer.Option(help="rules (embedded, no LLM) or openai:NAME; key from OPENAI_API_KEY, or ALGOTRENDY_API_KEY with --base-url."),
]
BaseUrl = Annotated[str | None, typer.Option(metavar="URL", help="An OpenAI-compatible endpoint, up to /v1.")]
Strategy = Annotated[str, typer.Option(metavar="NAME", help="Bind the orders by this strategy's limits, too.")]
RebalanceEvery = Annotated[int, typer.Option(metavar="N", help="Ask for rebalancing every N cycles; 0: on drift only.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output, and nothing else.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show the end only.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show every cycle and every reason in full.")]
Reason = Annotated[str, typer.Option(metavar="TEXT", help="Why; kept with the change.")]
Session = Annotated[str | None, typer.Option(metavar="ID", help="Default: the live desk, else the session written last.")]
