"""Client order ids, fitted to what a venue takes."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass

_MARK = "z"  # every made id begins with it, and a given id that looks like a made one is never passed on as it is
_DIGITS = "0123456789abcdefghijklmnopqrstuv"  # base 32, five bits each
_SHORTEST = 14  # a mark and 65 bits: one in a million that any two of six million ids meet
_LETTERS_AND_DIGITS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")


@dataclass(frozen=True, slots=True)
class IdRule:
    """What a venue takes for a client order id: ASCII letters, digits and `also`, up to `longest` characters."""

    longest: int
    also: str = ""

    def __post_init__(self) -> None:
        if self.longest < _SHORTEST:
            raise ValueError(f"ids of {self.longest} characters cannot be told apart; {_SHORTEST} are needed")

    def takes(self, client_order_id: str) -> bool:
        """Whether the venue takes this id as it is."""
        allowed = _LETTERS_AND_DIGITS | set(self.also)
        return 0 < len(client_order_id) <= self.longest and set(client_order_id) <= allowed


def fit(client_order_id: str, rule: IdRule) -> str:
    """The id under which the venue knows an order: the desk's own where the rule takes it, else one made of its SHA-256.

    The same id always gives the same one. Two different ids meet only if their hashes do: an id that could be mistaken for a
    made one is hashed itself. The desk's own ids (`make_client_order_id`) fit all six venues as they are.
    """
    if rule.takes(client_order_id) and not _looks_made(client_order_id, rule):
        return client_order_id
    number = int.from_bytes(hashlib.sha256(client_order_id.encode()).digest(), "big")
    made = "".join(_DIGITS[(number >> 5 * place) & 31] for place in range(_made_length(rule) - 1))
    return _MARK + made


class ClientIds:
    """Both directions of `fit`, for one venue.

    The way back is remembered, for the newest `kept` ids that had to be made: a hash cannot be turned round. An order whose
    made id is not remembered is reported under the venue's id.
    """

    def __init__(self, rule: IdRule, *, kept: int = 100_000) -> None:
        self._rule = rule
        self._kept = kept
        self._made: OrderedDict[str, str] = OrderedDict()

    def at_venue(self, client_order_id: str) -> str:
        """What the venue is told."""
        fitted = fit(client_order_id, self._rule)
        if fitted != client_order_id:
            self._made[fitted] = client_order_id
            self._made.move_to_end(fitted)
            if len(self._made) > self._kept:
                self._made.popitem(last=False)
        return fitted

    def at_desk(self, venue_id: str) -> str:
        """What the desk calls it."""
        return self._made.get(venue_id, venue_id)


def _made_length(rule: IdRule) -> int:
    return min(rule.longest, 32)


def _looks_made(client_order_id: str, rule: IdRule) -> bool:
    return client_order_id.startswith(_MARK) and len(client_order_id) == _made_length(rule)
