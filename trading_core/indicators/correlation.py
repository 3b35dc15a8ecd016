"""How symbols move together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from trading_core.domain.errors import InvalidInput
from trading_core.domain.market import Bar
from trading_core.indicators.series import FloatArray, check_period

# Log returns are dimensionless: a spread this small is the rounding of float64, not a movement of any market.
_NOISE = 1e-12


def correlation_matrix(returns: FloatArray) -> FloatArray:
    """Pearson correlation of every pair of rows, −1 to 1.

    Args:
        returns: one row for each symbol, one column for each instant, oldest first.

    Returns:
        A symmetric matrix; NaN in the row and column of a symbol that does not vary.

    Raises:
        InvalidInput: for an array that is not two-dimensional, or a return that is not finite.
    """
    if returns.ndim != 2:
        raise InvalidInput(f"returns are one row per symbol, not an array of shape {returns.shape}")
    if not np.isfinite(returns).all():
        raise InvalidInput("a return is not finite", not_done="No correlation was computed")
    rows, columns = returns.shape
    if columns < 2:
        return np.full((rows, rows), np.nan)
    centred = returns - returns.mean(axis=1, keepdims=True)
    length = np.sqrt(np.square(centred).sum(axis=1, keepdims=True))
    length[length <= _NOISE * np.sqrt(columns)] = np.nan
    unit = centred / length
    matrix: FloatArray = np.clip(unit @ unit.T, -1.0, 1.0)
    return matrix


def correlations(bars: Mapping[str, Sequence[Bar]], *, minimum: int = 30) -> dict[frozenset[str], float]:
    """Correlation of log returns for every pair of symbols, keyed by `frozenset({a, b})`.

    Each pair is compared over the bars that both have, matched by `opened_at`; where one has a gap, both returns span it.

    Args:
        bars: closed bars by symbol, of one timeframe.
        minimum: common returns below which a pair is left out, at least 2.

    Returns:
        −1 to 1 for each pair. A pair with too few common returns, or with a price that never moves, is absent: its
        correlation is unknown, which is not the same as 0.

    Raises:
        InvalidInput: for a close that is not above zero.
    """
    check_period(minimum, least=2)
    symbols = sorted(bars)
    instants = sorted({bar.opened_at for symbol in symbols for bar in bars[symbol]})
    column = {instant: index for index, instant in enumerate(instants)}
    closes = np.full((len(symbols), len(instants)), np.nan)
    for row, symbol in enumerate(symbols):
        closes[row, [column[bar.opened_at] for bar in bars[symbol]]] = [float(bar.close) for bar in bars[symbol]]
    if (closes <= 0).any() or np.isinf(closes).any():
        raise InvalidInput("a close is not a price above zero", not_done="No correlation was computed")
    logs = np.log(closes)
    known = ~np.isnan(closes)

    found: dict[frozenset[str], float] = {}
    for (a, first), (b, second) in combinations(enumerate(symbols), 2):
        returns = np.diff(logs[[a, b]][:, known[a] & known[b]])
        if returns.shape[1] < minimum:
            continue
        value = float(correlation_matrix(returns)[0, 1])
        if not np.isnan(value):
            found[frozenset((first, second))] = value
    return found
