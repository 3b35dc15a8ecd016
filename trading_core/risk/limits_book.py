"""Which limits bind an account and a strategy, and the file they are read from (`docs/limits.md`)."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, PrivateAttr, model_validator

from trading_core.domain.errors import ConfigurationError
from trading_core.risk.limits import NOT_STARTED, Limits, LimitValue, is_looser, require_known, tightened, validated

Tables = dict[str, dict[str, LimitValue]]
_KINDS = ("account", "strategy")


class LimitsBook(BaseModel):
    """The desk's limits, and the tighter ones of single accounts and strategies.

    Attributes:
        desk: what binds everybody.
        account, strategy: by name, only the limits that were given for it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    desk: Limits = Limits()
    account: Tables = {}
    strategy: Tables = {}
    _known: dict[tuple[str, str], Limits] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _sound(self) -> Self:
        """What could not bind an order is refused here, and not when the order comes."""
        for kind, tables in (("account", self.account), ("strategy", self.strategy)):
            for name, table in tables.items():
                for key in table:
                    require_known(key, f"{kind}.{name}")
        for account_id in self.account:
            self.of(account_id)
        for strategy in self.strategy:
            self.of("", strategy)
        return self

    def of(self, account_id: str, strategy: str = "") -> Limits:
        """The limits that bind an order: for each the tightest of the desk's, the account's and the strategy's.

        A name without a table is bound by the desk's alone.
        """
        # Only names that have a table make an entry: names come from outside, and the memory must not grow with them.
        names = (account_id if account_id in self.account else "", strategy if strategy in self.strategy else "")
        found = self._known.get(names)
        if found is None:
            values = {key: value for key, (value, _) in self.tightening(*names).items()}
            found = self._known[names] = Limits.model_validate({**self.desk.model_dump(), **values})
        return found

    def model_copy(self, *, update: Mapping[str, object] | None = None, deep: bool = False) -> Self:
        """A copy with other contents, which are checked, and without the memory of what the old ones came to."""
        return type(self).model_validate({**dict(self), **(update or {})})

    def tightening(self, account_id: str, strategy: str = "") -> dict[str, tuple[LimitValue, str]]:
        """The limits in which the two are held tighter than the desk: the value, and the table it stands in."""
        tighter: dict[str, tuple[LimitValue, str]] = {}
        for name, table in (
            (f"account.{account_id}", self.account.get(account_id)),
            (f"strategy.{strategy}", self.strategy.get(strategy)),
        ):
            for key, value in (table or {}).items():
                so_far = tighter[key][0] if key in tighter else getattr(self.desk, key)
                if is_looser(key, so_far, value):
                    tighter[key] = value, name
        return tighter


@dataclass(frozen=True, slots=True)
class EffectiveLimits:
    """Limits, and for each of the desk's own where its value came from: `default`, the file's name, or `override`."""

    book: LimitsBook
    sources: Mapping[str, str]
    file: str = ""

    @property
    def limits(self) -> Limits:
        """The desk's own."""
        return self.book.desk

    def sources_of(self, account_id: str, strategy: str = "") -> dict[str, str]:
        """Where each value of `book.of(account_id, strategy)` came from."""
        tables = {key: f"{self.file} [{name}]" for key, (_, name) in self.book.tightening(account_id, strategy).items()}
        return {**self.sources, **tables}


def load_limits(path: Path | None, overrides: Mapping[str, str] | None = None) -> EffectiveLimits:
    """Defaults, then the TOML file at `path`, then `overrides`; and the file's tables for accounts and strategies.

    A table is held against the file it stands in, and may only tighten it. An override beyond that changes what binds
    everybody, and a table goes on binding where it is the tighter one.

    Raises:
        ConfigurationError: the file cannot be read, a key or table is not known, a value breaks its bounds, or a table
            would allow more than the desk does; one line each.
    """
    if path is None:
        desk, sources = _layered([("override", overrides or {})])
        return EffectiveLimits(LimitsBook(desk=desk), sources)
    content = _read(path)
    tables = {kind: _tables(content.pop(kind, {}), kind, path.name) for kind in _KINDS}
    own, _ = _layered([(path.name, content)])
    desk, sources = _layered([(path.name, content), ("override", overrides or {})])
    tight = {
        kind: {name: _values(own, table, f"{path.name} [{kind}.{name}]") for name, table in tables[kind].items()}
        for kind in _KINDS
    }
    return EffectiveLimits(LimitsBook(desk=desk, account=tight["account"], strategy=tight["strategy"]), sources, path.name)


def _layered(layers: list[tuple[str, Mapping[str, object]]]) -> tuple[Limits, dict[str, str]]:
    sources = dict.fromkeys(Limits.model_fields, "default")
    values: dict[str, object] = {}
    for source, layer in layers:
        for key, value in layer.items():
            if isinstance(value, dict) and key not in Limits.model_fields:
                raise _bad_table(source, f"[{key}] is no table of limits")
            require_known(key, source)
            values[key], sources[key] = value, source
    return validated(values, sources), sources


def _tables(content: object, kind: str, source: str) -> dict[str, dict[str, object]]:
    if not isinstance(content, dict):
        raise _bad_table(source, f"{kind} = {content!r} is no table of limits")
    for name, table in content.items():
        if not isinstance(table, dict):
            raise _bad_table(source, f"{name!r} stands in [{kind}], which names nobody")
        if not name.strip():
            raise _bad_table(source, f"[{kind}.{name!r}] names nobody")
    return content


def _values(desk: Limits, table: Mapping[str, object], source: str) -> dict[str, LimitValue]:
    tight = tightened(desk, table, source=source)
    return {key: getattr(tight, key) for key in table}


def _bad_table(source: str, what: str) -> ConfigurationError:
    return ConfigurationError(
        f"{source}: {what}", not_done=NOT_STARTED, next_step="Write [account.NAME] or [strategy.NAME], and limits below it"
    )


def _read(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except OSError as error:
        raise ConfigurationError(
            f"limits file {path} cannot be read: {error.strerror}", not_done=NOT_STARTED, next_step="Check the path"
        ) from None
    except ValueError as error:  # TOMLDecodeError and UnicodeDecodeError
        raise ConfigurationError(
            f"limits file {path} is not valid TOML: {error}", not_done=NOT_STARTED, next_step="Mend the file"
        ) from None
