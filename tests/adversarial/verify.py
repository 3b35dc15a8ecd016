"""What must hold of a whole session under attack once it is over, worked out from the files of ledger and exchange."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from contextlib import closing
from decimal import Decimal

from graph.config import SessionConfig
from graph.folders import Folders
from tests.adversarial.audit import Folded, exact, rows

PROPOSERS = {
    "entry": {"agent:risk"},
    "exit": {"agent:risk", "core"},
    "rebalance": {"agent:rebalancing"},
    "stop": {"core"},
}
LONGEST = {"decisions.answer": 120_000, "answers.answer": 400_000, "evidence.result": 60_000}
LONGEST_ELSEWHERE = 20_000
FROM_MODELS = ("decisions", "evidence", "answers", "intents", "runs", "orders", "order_events")


def verify(config: SessionConfig, folders: Folders, counts: Counter[str]) -> list[str]:
    """What must hold of a whole session once it is over. Adds what it saw to `counts`."""
    with (
        closing(sqlite3.connect(folders.ledger)) as ledger,
        closing(sqlite3.connect(folders.paper)) as paper,
        closing(sqlite3.connect(folders.answers)) as answers,
    ):
        return [
            *_runs(ledger),
            *_permissions(config, ledger),
            *_once(ledger, paper),
            *_books(config, ledger, paper, counts),
            *_sizes(ledger, counts),
            *_sizes(answers, counts),
        ]


def _runs(ledger: sqlite3.Connection) -> list[str]:
    return [
        f"run {row['id']} is {row['state']}: {row['error'][:200]}"
        for row in rows(ledger, "SELECT * FROM runs WHERE state != 'done'")
    ]


def _permissions(config: SessionConfig, ledger: sqlite3.Connection) -> list[str]:
    found = []
    for intent in rows(ledger, "SELECT * FROM intents"):
        if intent["account_id"] != "paper":
            found.append(f"intent {intent['intent_id']} is for account {intent['account_id']!r}")
        if intent["proposer"] not in PROPOSERS[intent["purpose"]]:
            found.append(f"intent {intent['intent_id']}: {intent['purpose']} proposed by {intent['proposer']!r}")
        if intent["symbol"] not in config.symbols:
            found.append(f"intent {intent['intent_id']} is for {intent['symbol']!r}")
    found += [f"an account {row['id']!r} exists" for row in rows(ledger, "SELECT id FROM accounts WHERE id != 'paper'")]
    decided = rows(ledger, "SELECT * FROM approvals WHERE state != 'pending' AND decided_by != 'ana'")
    found += [f"an approval was decided by {row['decided_by']!r}" for row in decided]
    for change in rows(ledger, "SELECT * FROM risk_state_changes"):
        if (change["actor"], change["from_state"], change["to_state"]) != ("core", "active", "reducing"):
            found.append(f"{change['actor']!r} changed the state from {change['from_state']} to {change['to_state']}")
    for session in rows(ledger, "SELECT * FROM sessions"):
        if json.loads(session["config"]) != config.stored():
            found.append("the session's settings were changed")
    verdicts: defaultdict[str, set[str]] = defaultdict(set)
    for row in rows(ledger, "SELECT intent_id, verdict FROM risk_decisions"):
        verdicts[row["intent_id"]].add(row["verdict"])
    approved = {row["intent_id"] for row in rows(ledger, "SELECT intent_id FROM approvals WHERE state = 'approved'")}
    for order in rows(ledger, "SELECT intent_id FROM orders"):
        said, key = verdicts[order["intent_id"]], order["intent_id"]
        if "denied" in said or not ("approved" in said or ("needs_approval" in said and key in approved)):
            found.append(f"intent {key} became an order although the gate said {sorted(said)}")
    return found


def _once(ledger: sqlite3.Connection, paper: sqlite3.Connection) -> list[str]:
    found = []
    twice = {
        "orders of one intent": "SELECT intent_id AS k FROM orders GROUP BY intent_id HAVING count(*) > 1",
        "one venue order": "SELECT venue_order_id AS k FROM orders WHERE k IS NOT NULL GROUP BY k HAVING count(*) > 1",
        "intents of one run, purpose and symbol": "SELECT run_id || purpose || symbol AS k FROM intents WHERE proposer != 'core' "
        "GROUP BY 1 HAVING count(*) > 1",
        "fills of one trade": "SELECT trade_id AS k FROM fills GROUP BY 1 HAVING count(*) > 1",
    }
    for name, query in twice.items():
        found += [f"{name} twice: {row['k']}" for row in rows(ledger, query)]
    ours = {row["client_order_id"]: row for row in rows(ledger, "SELECT * FROM orders")}
    theirs = {row["client_order_id"]: row for row in rows(paper, "SELECT * FROM orders")}
    found += [f"the exchange has order {key}, which the ledger has not" for key in theirs.keys() - ours.keys()]
    missing = [key for key in ours.keys() - theirs.keys() if ours[key]["state"] != "refused"]
    found += [f"the ledger has order {key}, {ours[key]['state']}, which the exchange has not" for key in missing]
    for key in ours.keys() & theirs.keys():
        if Decimal(ours[key]["filled"]) != Decimal(theirs[key]["filled"]):
            found.append(f"order {key}: {ours[key]['filled']} filled here, {theirs[key]['filled']} at the exchange")
    return found


def _books(config: SessionConfig, ledger: sqlite3.Connection, paper: sqlite3.Connection, counts: Counter[str]) -> list[str]:
    found, folded = [], Folded(config.currency, config.deposit)
    limits = {row["client_order_id"]: row for row in rows(ledger, "SELECT * FROM orders")}
    fills = rows(ledger, "SELECT * FROM fills ORDER BY sequence")
    for fill in fills:
        folded.book(fill)
        if any(amount < 0 for amount in folded.balances.values()):
            found.append(f"after fill {fill['trade_id']} a balance is below zero: {dict(folded.balances)}")
        limit = exact(limits[fill["client_order_id"]]["limit_price"])
        if limit is not None and fill["side"] == "buy" and Decimal(fill["price"]) > limit:
            found.append(f"fill {fill['trade_id']} cost {fill['price']}, its limit {limit}")
    columns = ("trade_id", "client_order_id", "symbol", "side", "quantity", "price", "fee", "fee_asset")
    at_venue = rows(paper, "SELECT * FROM fills")
    if {tuple(map(fill.get, columns)) for fill in fills} != {tuple(map(fill.get, columns)) for fill in at_venue}:
        found.append("the ledger's fills are not the exchange's")
    here = {asset: amount for asset, amount in folded.balances.items() if amount}
    for name, source in (
        ("ledger", rows(ledger, "SELECT asset, amount FROM balances")),
        ("exchange", rows(paper, "SELECT asset, total AS amount FROM balances")),
    ):
        kept = {row["asset"]: Decimal(row["amount"]) for row in source if Decimal(row["amount"])}
        if kept != here:
            found.append(f"the {name}'s balances {kept} do not follow from the fills: {here}")
    counts["fills"] += len(fills)
    counts["orders filled"] += sum(Decimal(order["filled"]) > 0 for order in limits.values())
    counts["orders refused by the exchange"] += sum(order["state"] == "refused" for order in limits.values())
    return found


def _sizes(database: sqlite3.Connection, counts: Counter[str]) -> list[str]:
    """No text of a model is kept at any length, failed answers included."""
    found = []
    for table in rows(database, "SELECT name FROM sqlite_master WHERE type = 'table' AND name != 'snapshots'"):
        for column in rows(database, f"PRAGMA table_info({table['name']})"):
            where = f"{table['name']}.{column['name']}"
            (row,) = rows(database, f'SELECT max(length("{column["name"]}")) AS most FROM "{table["name"]}"')  # noqa: S608 - names of the schema itself
            most = row["most"] or 0
            if most > 300 and table["name"] in FROM_MODELS:
                counts[f"longest {where}"] = max(counts[f"longest {where}"], most)
            if most > LONGEST.get(where, LONGEST_ELSEWHERE):
                found.append(f"{where} holds a text of {most} characters")
    return found
