"""Past bars from files: what backtests and replays read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from data_channels.market.bar_files import read_bars
from data_channels.market.file_names import SUFFIXES, NamedFile, parse_name
from data_channels.market.filters import inferred_instrument, price_decimals
from data_channels.market.series import BarSeries, SeriesFeed
from trading_core.domain.errors import BadMarketFile, UnknownSymbol
from trading_core.domain.market import Timeframe

_NAMING = "Files are named like binance_BTCUSDT_1h.csv.gz or BTC-USDT_1h.parquet"


class HistoryFeed(SeriesFeed):
    """A `MarketFeed` over OHLCV files, one per symbol, all checked and in memory.

    The files do not say tick size, lot size or fees: these are assumed from each file's first bar (see `filters`).
    """

    @classmethod
    def load(
        cls, folder_or_files: Path | Sequence[Path], *, timeframe: Timeframe, symbols: Sequence[str] | None = None
    ) -> HistoryFeed:
        """Open a folder, one file or several. Only files of `symbols` (all when None) and `timeframe` are read.

        A folder may hold other timeframes and other things; files given one by one must be bars of `timeframe`.

        Raises:
            BadMarketFile: nothing to read there, two files for one market, or an offence inside a file, with its line.
            UnknownSymbol: a symbol without a file; says which ones there are.
        """
        if isinstance(folder_or_files, Path):
            source, found = _in_folder(folder_or_files) if folder_or_files.is_dir() else _given([folder_or_files], timeframe)
        else:
            source, found = _given(folder_or_files, timeframe)
        files = _one_each([file for file in found if file.timeframe == timeframe])
        if not files:
            others = sorted({f"{file.symbol} {file.timeframe}" for file in found})
            held = f"; it has {', '.join(others)}" if others else f". {_NAMING}"
            raise BadMarketFile(source, 0, f"no file of {timeframe} bars is there{held}")
        wanted = sorted(files) if symbols is None else list(dict.fromkeys(symbols))
        missing = [symbol for symbol in wanted if symbol not in files]
        if missing:
            raise UnknownSymbol(
                f"{source} has no {timeframe} bars of {', '.join(map(repr, missing))}",
                not_done="Nothing was loaded",
                next_step=f"There are {', '.join(sorted(files))}",
            )
        series = {symbol: _load(files[symbol]) for symbol in wanted}
        return cls(f"history ({Path(source).name}, {timeframe})", timeframe, series, generated=False)


def _in_folder(folder: Path) -> tuple[str, list[NamedFile]]:
    try:
        named = [parse_name(path) for path in sorted(folder.iterdir()) if path.is_file()]
    except OSError as error:
        raise BadMarketFile(str(folder), 0, f"it cannot be read: {error.strerror}") from error
    return str(folder), [file for file in named if file]


def _given(paths: Sequence[Path], timeframe: Timeframe) -> tuple[str, list[NamedFile]]:
    files: list[NamedFile] = []
    for path in paths:
        if not path.exists():
            raise BadMarketFile(str(path), 0, "it does not exist")
        file = parse_name(path)
        if file is None:
            raise BadMarketFile(
                str(path), 0, f"its name does not say a market, a timeframe and {' or '.join(SUFFIXES)}. {_NAMING}"
            )
        if file.timeframe != timeframe:
            raise BadMarketFile(str(path), 0, f"its name says {file.timeframe} bars and {timeframe} was asked for")
        files.append(file)
    return str(paths[0].parent) if len(paths) > 1 else str(paths[0]) if paths else "the list of files", files


def _one_each(found: Sequence[NamedFile]) -> dict[str, NamedFile]:
    files: dict[str, NamedFile] = {}
    for file in found:
        first = files.setdefault(file.symbol, file)
        if first is not file:
            raise BadMarketFile(
                str(file.path), 0, f"{first.path.name} holds {file.symbol} {file.timeframe} too, and which one counts is unsaid"
            )
    return files


def _load(file: NamedFile) -> BarSeries:
    bars = read_bars(file.path, file.timeframe)
    first = bars[0]
    instrument = inferred_instrument(file.symbol, price=first.open, decimals=price_decimals(first))
    return BarSeries(instrument, file.timeframe, bars)
