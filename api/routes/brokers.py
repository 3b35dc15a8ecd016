"""Accounts at venues: which there are, whether with real money, their keys (in, never out), and how the open ones are doing."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Path

from api.http.dependencies import Caller, OnAccount, State, allowed, on_account
from api.http.pages import Page, PageQuery
from api.http.problems import NotFound
from api.schemas.brokers import AddBroker, BrokerHealthOut, BrokerOut, CallLatency, KeysOut, PutKeys, SetProduction
from api.services.desks import desk_here
from api.state import ApiState
from api.venue_access import any_venue_access
from graph.system import TradingSystem
from trading_core.auth.agents import runner
from trading_core.auth.permissions import Action, Principal
from trading_core.brokers.accounts import BrokerAccounts
from trading_core.brokers.breaker import BreakerState
from trading_core.brokers.venues.profiles import PROFILES
from trading_core.brokers.watched import WatchedBroker
from trading_core.domain.errors import InvalidInput
from trading_core.persistence.repositories.broker_accounts import BrokerAccount
from trading_core.secrets.credentials import VenueCredentials, VenueKeys

router = APIRouter(prefix="/brokers", tags=["brokers"])

Reader = Annotated[Principal, allowed(Action.READ_PORTFOLIO)]
Manager = Annotated[Principal, allowed(Action.MANAGE_BROKERS)]
KeyManager = Annotated[Principal, allowed(Action.MANAGE_CREDENTIALS)]
Name = Annotated[str, Path(min_length=1, max_length=40, description="The account's id.", examples=["binance-main"])]


@router.get("", summary="List accounts at venues")
async def list_brokers(state: State, who: Reader, page: PageQuery) -> Page[BrokerOut]:
    """By id. Whoever manages brokers sees all of them, others those they may act on. The paper exchange needs no account here."""
    after = page.after_text() or ""
    async with state.database.reading() as uow:
        every = sorted(await uow.broker_accounts.all(), key=lambda one: one.id)
        stored = {(one.venue, one.label) for one in await uow.credentials.all()}
    sees_all = who.may(Action.MANAGE_BROKERS)
    found = [one for one in every if one.id > after and (sees_all or one.id in who.accounts)][: page.wanted]
    return page.page(found, lambda one: (one.id,), lambda one: _shown(state, one, (one.venue, one.id) in stored))


@router.post("", summary="Add an account at a venue", status_code=201)
async def add_broker(state: State, caller: Caller, who: Manager, body: AddBroker) -> BrokerOut:
    """Without real money at first: in the venue's sandbox, or at a test venue. Then store its keys, and start a desk for it. With
    a `url`, only a person who is logged in may do it: keys that are stored under this name would be used there."""
    if body.url is not None:
        caller.own_login()
    await _require_over(state, who, body.id)
    added = await _accounts(state).add(who, body.id, body.venue, url=body.url)
    return await _read(state, added)


@router.delete("/{name}", summary="Forget an account at a venue", status_code=204)
async def remove_broker(state: State, who: Manager, name: Name) -> None:
    """What it traded stays on record, its keys stay stored, and a desk that has it open goes on until it ends."""
    await _require_over(state, who, name)
    if not await _accounts(state).remove(who, name):
        raise _unknown(name)


@router.put("/{name}/production", summary="Switch an account to real money, or away from it")
async def set_production(state: State, caller: Caller, who: Manager, name: Name, body: SetProduction) -> BrokerOut:
    """From the next start of its desk on. Only a person who is logged in may do it, to an account that has not traded yet;
    name it twice. It is on the audit trail."""
    caller.own_login()
    if body.confirm != name:
        raise InvalidInput(
            f"`confirm` is {body.confirm!r}, and the account is {name!r}",
            not_done="Nothing was switched",
            next_step="Give the account's id once more: real money can be lost",
        )
    await _require_over(state, who, name)
    await _known(state, name)
    switched = await _accounts(state).set_production(who, name, production=body.production, reason=body.reason)
    return await _read(state, switched)


@router.put("/{name}/credentials", summary="Store the keys of an account at a venue")
async def put_credentials(state: State, caller: Caller, who: KeyManager, name: Name, body: PutKeys) -> KeysOut:
    """Encrypted, in place of earlier ones. Nothing ever answers them. Only a person who is logged in may do it: a stolen API key
    must not move the desk to another's account."""
    caller.own_login()
    await _require_over(state, who, name)
    known = await _known(state, name)
    access = await any_venue_access()
    keys = VenueKeys(body.api_key, body.secret, body.passphrase)
    await VenueCredentials(state.database, access.keys, state.clock).put(who, known.venue, known.id, keys)
    return KeysOut(account=known.id, venue=known.venue, keys_stored=True)


@router.delete("/{name}/credentials", summary="Forget the keys of an account at a venue", status_code=204)
async def delete_credentials(state: State, caller: Caller, who: KeyManager, name: Name) -> None:
    """They remain valid at the venue, and in backups: withdraw them there as well."""
    caller.own_login()
    await _require_over(state, who, name)
    known = await _known(state, name)
    access = await any_venue_access()
    if not await VenueCredentials(state.database, access.keys, state.clock).delete(who, known.venue, known.id):
        raise NotFound(f"no keys are stored for {name!r}", not_done="Nothing was deleted", next_step="List the brokers")


@router.get("/{account}/health", summary="Read how the connection to an account's venue is doing")
async def get_broker_health(state: State, on: Annotated[OnAccount, on_account(Action.READ_PORTFOLIO)]) -> BrokerHealthOut:
    """What the desk in this process has seen of its venue, the paper exchange included: nobody is asked for it."""
    return await _health(desk_here(state, on.account_id, "how its venue answers"))


async def _health(system: TradingSystem) -> BrokerHealthOut:
    desk, broker, now = system.desk, system.broker, system.clock.now()
    view = await desk.account(runner(desk.account_id))
    watched = broker if isinstance(broker, WatchedBroker) else None
    age = None if view.known_at is None else (now - view.known_at).total_seconds()
    fresh = age is not None and (system.config.simulated or age <= desk.limits.max_account_age_seconds)
    calls = watched is None or watched.breaker.state is BreakerState.CLOSED
    return BrokerHealthOut(
        account=desk.account_id,
        venue=broker.venue,
        is_paper=broker.is_paper,
        healthy=fresh and calls and not desk.inputs.disagreement,
        known_at=view.known_at,
        disagreement=desk.inputs.disagreement,
        breaker=None if watched is None else watched.breaker.state,
        breaker_reason="" if watched is None else watched.breaker.reason,
        latency={} if watched is None else _latency(watched),
        checked_at=now,
    )


def _latency(watched: WatchedBroker) -> dict[str, CallLatency]:
    return {call.value: CallLatency(**asdict(took)) for call, took in watched.latencies.all().items()}


def _accounts(state: ApiState) -> BrokerAccounts:
    return BrokerAccounts(state.database, state.clock)


async def _require_over(state: ApiState, who: Principal, name: str) -> None:
    """What is somebody's account is changed by those who may act on it; until it is, by whoever manages brokers.

    Raises:
        NotPermitted: it is others' account.
    """
    async with state.database.reading() as uow:
        is_somebodys = any(name in user.accounts for user in await uow.users.all())
        if is_somebodys or await uow.portfolios.opened_at(name) is not None:
            who.require(Action.MANAGE_BROKERS, name)


async def _known(state: ApiState, name: str) -> BrokerAccount:
    async with state.database.reading() as uow:
        found = await uow.broker_accounts.get(name)
    if found is None:
        raise _unknown(name)
    return found


async def _read(state: ApiState, account: BrokerAccount) -> BrokerOut:
    async with state.database.reading() as uow:
        stored = await uow.credentials.get(account.venue, account.id)
    return _shown(state, account, stored is not None)


def _shown(state: ApiState, one: BrokerAccount, keys_stored: bool) -> BrokerOut:
    return BrokerOut(
        id=one.id,
        venue=one.venue,
        title=PROFILES[one.venue].title,
        production=one.production,
        url=one.url,
        keys_stored=keys_stored,
        open_here=state.desks.get(one.id) is not None,
        created_at=one.created_at,
        created_by=one.created_by,
    )


def _unknown(name: str) -> NotFound:
    return NotFound(
        f"there is no account {name!r} at a venue", not_done="Nothing was done", next_step="GET /api/v1/brokers lists them"
    )
