"""Which of a scenario's faults strike, and how often they have."""

from __future__ import annotations

from collections.abc import Sequence

from evals.schema import Fault


class FaultCounter:
    """A scenario's faults while they last. They wait until `on` is set: what leads up to a decision works.

    Attributes:
        on: whether anything fails at all.
    """

    def __init__(self, faults: Sequence[Fault]) -> None:
        self._left = [(fault, fault.times or None) for fault in faults]
        self.on = False

    def strikes(self, what: str, where: str, *hows: str) -> str:
        """How this call fails, or an empty text. A fault that strikes is used up once; of several the first one counts.

        Args:
            hows: which ways of failing can strike here; any, when none is given.
        """
        if not self.on:
            return ""
        for index, (fault, left) in enumerate(self._left):
            if fault.what != what or fault.where not in ("", where) or (hows and fault.how not in hows) or left == 0:
                continue
            self._left[index] = fault, None if left is None else left - 1
            return fault.how
        return ""
