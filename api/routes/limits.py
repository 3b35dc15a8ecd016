"""The limits that bind an account."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Response

from api.http.dependencies import OnAccount, State, on_account
from api.http.etags import etag_of
from api.http.shared_route import SharedRoute
from api.schemas.limits import LimitOut, LimitsOut
from api.services.limits import binding_limits, no_limits, shown
from trading_core.auth.permissions import Action
from trading_core.risk.limits import Limits, direction

router = APIRouter(prefix="/accounts/{account}", tags=["risk"], route_class=SharedRoute)


@router.get("/limits", summary="List the limits that bind an account")
async def list_limits(state: State, response: Response, on: Annotated[OnAccount, on_account(Action.READ_RISK)]) -> LimitsOut:
    """Every limit in force, and the table it stands in where the account or its strategy is held tighter than the desk."""
    found = await binding_limits(state.desks, state.database, on.account_id)
    if found is None:
        raise no_limits(on.account_id)
    answer = LimitsOut(
        account=on.account_id,
        strategy=found.strategy,
        told_by=found.told_by,
        limits=[
            LimitOut(
                name=name,
                value=shown(found.value(name)),
                source=found.tables.get(name, "desk"),
                tighter=direction(name).value,
                description=field.description or "",
            )
            for name, field in Limits.model_fields.items()
        ],
    )
    response.headers["ETag"] = etag_of(answer)
    return answer
