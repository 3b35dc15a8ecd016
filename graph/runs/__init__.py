"""Runs: asked for in the ledger, claimed by whoever has the desk, told in the event log."""
