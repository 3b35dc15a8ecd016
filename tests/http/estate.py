"""A desk with one of everything on record: what routes with an id in their path are asked for."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from api.http.settings import ApiSettings
from api.observability.metrics import Metrics
from graph.runs.leases import lease_of
from tests.unit.auth_cases import PASSWORD, ROOT
from tests.unit.http.manned_cases import Manned, manned
from trading_core.auth.permissions import Action
from trading_core.auth.roles import Role

ON = "/accounts/paper"
PLAN = {"name": "hourly", "every_seconds": 3600, "symbols": ["BTC/USDT"]}
WHY = {"reason": "a test"}
MANY = 1_000_000
FREE = ApiSettings(
    per_ip=MANY, logins_per_ip=MANY, logins_per_name=MANY, reads_per_user=MANY, writes_per_user=MANY, followers_per_user=MANY
)
"""No rate is limited: every answer is about the request itself."""


@dataclass(slots=True)
class Estate:
    """The doors of a manned desk, and the id of one of each thing by the name of its path parameter.

    `examples` has the example of each operation's body, by method and path template.

    The thread, the card and the runs are the trader's. `stranger` is a trader of an account that this desk knows nothing of.
    """

    here: Manned
    ids: dict[str, str]
    key: str
    examples: dict[tuple[str, str], Any]

    def path(self, template: str, **other: str) -> str:
        return template.format(**{**self.ids, **other})

    async def headers(self, who: str) -> Mapping[str, str]:
        """Of nobody, of a key that may do one thing only, or of a user."""
        if who == "nobody":
            return {}
        if who == "key":
            return {"X-API-Key": self.key}
        return await self.here.doors.as_user(who)

    async def schedule(self, name: str) -> str:
        made = await self.here.post(f"{ON}/schedules", {**PLAN, "name": name}, "trader", 201)
        return str(made["id"])

    async def card(self, user: str = "trader", text: str = "buy 300 usdt of BTC", thread: str = "") -> dict[str, Any]:
        """A card that is open: what the desk answers to a wish for an order."""
        thread = thread or (await self.here.post("/conversations", {"account": "paper"}, user, 201))["id"]
        before = {one["id"] for one in (await self.here.get("/proposals", user))["items"]}
        turn = await self.here.post(f"/conversations/{thread}/messages", {"text": text}, user)
        assert await self.here.over(turn["run_id"]) == "done"
        (made,) = [one for one in (await self.here.get("/proposals", user))["items"] if one["id"] not in before]
        return {**made, "conversation": thread}


@asynccontextmanager
async def estate(location: Path, *, scope: Action = Action.READ_PORTFOLIO, **how: Any) -> AsyncIterator[Estate]:
    """An order waits for an approval, another was filled, and a card is open.

    Args:
        scope: the one thing that the trader's API key may do.
        how: as for `manned`.
    """
    limits = {"approval_above_notional": "500", "max_position": "0.3"}
    async with manned(location.parent, location=location, **{"api": FREE, "observer": Metrics(), **limits, **how}) as here:
        world = here.doors.world
        await world.auth.users.create(ROOT, "stranger", "stranger@example.org", PASSWORD, Role.TRADER, ("live",))
        target = await world.auth.users.create(ROOT, "target", "target@example.org", PASSWORD, Role.VIEWER, ("paper",))
        trader = await world.identity("trader")
        day = timedelta(days=1)
        _, text = await world.auth.api_keys.issue(trader, "one scope", (scope,), ("paper",), day)
        own, _ = await world.auth.api_keys.issue(trader, "another", (scope,), ("paper",), day)
        their, _ = await world.auth.api_keys.issue_for(ROOT, target.id, "theirs", (Action.READ_PORTFOLIO,), ("paper",), day)
        async with world.database.transaction() as uow:
            await uow.leases.take(lease_of("paper"), "test", world.clock.now(), world.clock.now() + day)
        one = Estate(here, {}, text.get_secret_value(), bodies(here.doors.app.openapi()))
        small = await here.post(f"{ON}/orders", await here.ticket("300", "ETH/USDT"))
        assert await here.over(small["run_id"]) == "done"
        order = (await here.get(f"{ON}/orders", run=small["run_id"]))["items"][0]
        far = {**(await here.ticket("150", "SOL/USDT")), "type": "limit"}
        far["limit_price"] = str(round(Decimal(far["stop_price"]) * 103 / 100, 1))  # below the market
        await here.over((await here.post(f"{ON}/orders", far))["run_id"])
        large = await here.post(f"{ON}/orders", await here.ticket("700"))
        assert await here.over(large["run_id"]) == "waiting"
        card = await one.card()
        one.ids |= {
            "account": "paper",
            "agent": "signal",
            "conversation": str(card["conversation"]),
            "intent": str((await here.get("/approvals"))["items"][0]["intent"]["id"]),
            "key_id": own.id,
            "kind": "symbol",
            "model": "algotrendy",
            "name": "okx-a",
            "order": str(order["id"]),
            "proposal": str(card["id"]),
            "run": str(large["run_id"]),
            "schedule_id": await one.schedule("hourly"),
            "sequence": "1",
            "their_key": their.id,
            "user_id": target.id,
            "working": next(
                str(each["id"]) for each in (await here.get(f"{ON}/orders", live=True))["items"] if each["purpose"] == "entry"
            ),
        }
        await here.post("/brokers", {"id": "okx-a", "venue": "okx"}, "admin", 201)
        yield one


def bodies(description: Mapping[str, Any]) -> dict[tuple[str, str], Any]:
    """The example of each operation's body, on the account that is there."""
    found = {}
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            example = content.get("example") or next((one["value"] for one in content.get("examples", {}).values()), None)
            if example is not None:
                found[method.upper(), path] = json.loads(json.dumps(example).replace('"practice"', '"paper"'))
    return found


def login_body(name: str, password: SecretStr = PASSWORD) -> dict[str, str]:
    return {"name": name, "password": password.get_secret_value()}
