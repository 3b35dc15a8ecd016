"""Every error the desk raises on purpose, in one tree.

    AlgoTrendyError
    ├── ConfigurationError          settings, limits file, missing key
    ├── InvalidInput                a value from outside that breaks a rule
    │   ├── UnknownSymbol
    │   └── InvalidOrder            breaks a venue filter before it is sent
    ├── NotAuthenticated            who is asking is not established; never says why
    ├── NotPermitted                the actor may not do this
    ├── UserError                   deactivated, or a name that is taken
    │   └── UnknownUser             no such user or key
    ├── MarketDataError
    │   ├── BadMarketFile           a history file, refused with the line
    │   └── MarketDataUnavailable   no price, no bars, feed out of reach
    │       └── UnknownTimeframe    the market has no bars of that length: trying again does not help
    ├── ChannelError                a source of readings
    │   ├── ChannelUnavailable      out of reach, too slow, or not to be read: may pass
    │   └── ChannelRefused          key missing or not accepted: passes only when somebody acts
    ├── BrokerError
    │   ├── OrderRefused            the venue said no: final
    │   ├── AmbiguousOutcome        a write whose result is not known: never resend
    │   └── BrokerUnavailable       a read that failed: unknown, not empty
    ├── LedgerError
    │   ├── IllegalTransition       an event the order's state does not allow
    │   ├── IntentConflict          same intent id, other payload
    │   └── FillConflict            same trade id, other fill
    ├── StoreUnavailable            the database is locked, full or gone
    ├── SecretError
    │   ├── SecretUnavailable       a secret store that failed: unknown, which is not absent
    │   └── SecretUnreadable        kept encrypted, and not to be opened with the keys there are
    ├── ApprovalError               expired, drifted, already decided
    ├── RunError                    another payload, not resumable
    │   └── UnknownRun              not on record
    └── ModelError
        ├── ModelUnavailable        endpoint out of reach, refused or too slow
        └── InvalidAnswer           an answer that breaks its schema after the repair

Each says what happened, what was not done because of it, and what to do next.
"""


class AlgoTrendyError(Exception):
    """Base of the tree.

    Args:
        what: what happened, with the offending value in it.
        not_done: what the desk did not do because of it.
        next_step: what the reader can do about it.
    """

    def __init__(self, what: str, *, not_done: str = "", next_step: str = "") -> None:
        self.what = what
        self.not_done = not_done
        self.next_step = next_step
        super().__init__(what)

    def __str__(self) -> str:
        parts = [self.what, self.not_done, self.next_step]
        return " ".join(part if part.endswith((".", "?", "!")) else f"{part}." for part in parts if part)


class ConfigurationError(AlgoTrendyError):
    """Settings, limits or keys that cannot be used."""


class InvalidInput(AlgoTrendyError):
    """A value from outside that breaks a rule."""


class UnknownSymbol(InvalidInput):
    """A symbol the market does not list."""


class InvalidOrder(InvalidInput):
    """An order that breaks a venue filter before it is sent."""


class NotAuthenticated(AlgoTrendyError):
    """Who is asking is not established. Every cause has the same words, so that they help nobody to guess."""


class NotPermitted(AlgoTrendyError):
    """The actor may not do this."""


class UserError(AlgoTrendyError):
    """A user or a key that does not exist or is out of use, or a name that is taken."""


class UnknownUser(UserError):
    """A user or a key that does not exist."""


class MarketDataError(AlgoTrendyError):
    """Market data that is missing or wrong."""


class BadMarketFile(MarketDataError):
    """A history file that cannot be trusted.

    Args:
        path: the file.
        line: 1-based line (or row for Parquet) of the first offence, 0 when it concerns the whole file.
        reason: what is wrong there.
    """

    def __init__(self, path: str, line: int, reason: str) -> None:
        self.path, self.line, self.reason = path, line, reason
        where = f"{path}, line {line}" if line else path
        super().__init__(
            f"{where}: {reason}",
            not_done="The file was not loaded",
            next_step="Mend or replace it; columns are ts,open,high,low,close,volume with ts in ms UTC",
        )


class MarketDataUnavailable(MarketDataError):
    """No price or no bars for what was asked."""


class UnknownTimeframe(MarketDataUnavailable):
    """Bars of a length that the market does not have."""


class ChannelError(AlgoTrendyError):
    """A source of readings that gave none."""


class ChannelUnavailable(ChannelError):
    """It was out of reach, too slow, over its limit, or its answer could not be read. It is asked again later.

    Args:
        retry_after: seconds the source asked to be left alone for; None when it did not say.
    """

    def __init__(self, what: str, *, not_done: str = "", next_step: str = "", retry_after: float | None = None) -> None:
        super().__init__(what, not_done=not_done, next_step=next_step)
        self.retry_after = retry_after


class ChannelRefused(ChannelError):
    """The source turned the caller away: a key that is missing, wrong, or not paid for. Asking again does not help."""


class BrokerError(AlgoTrendyError):
    """What a venue's answer, or the lack of one, means."""


class OrderRefused(BrokerError):
    """The venue said no. Final for this order."""


class AmbiguousOutcome(BrokerError):
    """A write whose result is not known. The order may be live: never resend it."""


class BrokerUnavailable(BrokerError):
    """A read that failed. The answer is unknown, which is not the same as empty."""


class LedgerError(AlgoTrendyError):
    """The record would contradict itself."""


class IllegalTransition(LedgerError):
    """An event that the order's state does not allow."""


class IntentConflict(LedgerError):
    """The same intent id came with another payload."""


class FillConflict(LedgerError):
    """The same venue trade id came with another fill."""


class StoreUnavailable(AlgoTrendyError):
    """The database could not be read or written. The transaction was rolled back."""


class SecretError(AlgoTrendyError):
    """A secret that cannot be had. Never says anything of its content."""


class SecretUnavailable(SecretError):
    """The store of secrets failed or refused. Whether it holds the secret is not known."""


class SecretUnreadable(SecretError):
    """What is kept encrypted cannot be opened: another key, or somebody changed it."""


class ApprovalError(AlgoTrendyError):
    """An approval that cannot be given or used."""


class RunError(AlgoTrendyError):
    """A run that does not exist or cannot go on."""


class UnknownRun(RunError):
    """A run that is not on record."""


class ModelError(AlgoTrendyError):
    """A model that could not give a usable answer."""


class ModelUnavailable(ModelError):
    """The endpoint is out of reach, refuses, or takes too long."""


class InvalidAnswer(ModelError):
    """The answer breaks its schema, and so did the one repair."""
