"""Is the process alive and fit?"""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from api.schemas.common import Answer
from api.services.readiness import Check


class AliveOut(Answer):
    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "alive"}]})

    status: Literal["alive"] = "alive"


class ReadinessCheckOut(Answer):
    name: str
    passed: bool
    detail: str


class ReadyOut(Answer):
    """Whether the process is fit; `checks` only for those who may read the audit trail."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"status": "ready", "checks": [{"name": "database", "passed": True, "detail": "at revision r0009"}]},
            ]
        }
    )

    status: Literal["ready", "not ready"]
    checks: list[ReadinessCheckOut] | None = Field(default=None)

    @classmethod
    def of(cls, checks: tuple[Check, ...], *, shown: bool) -> ReadyOut:
        listed = [ReadinessCheckOut.model_validate(check) for check in checks] if shown else None
        return cls(status="ready" if all(check.passed for check in checks) else "not ready", checks=listed)
