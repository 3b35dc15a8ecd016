"""A process that runs one cycle and sends its spans to where OTEL_EXPORTER_OTLP_ENDPOINT says.

usage: python -m tests.integration.traced HOME MODEL_URL on|off plain|content
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from api.observability.tracing import tracing
from graph.session import trade
from graph.system import TradingSystem
from tests.integration.worlds import ENTRY, against, config, entry_feed


async def main(home: Path, url: str, on: str, content: str) -> None:
    with tracing(on=on == "on", content=content == "content"):
        settings = config(model=against(url), start=ENTRY, cycles=1)
        async with TradingSystem.open(settings, home, feed=entry_feed()) as system:
            async for _ in trade(system):
                pass


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), *sys.argv[2:]))
