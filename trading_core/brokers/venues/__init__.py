"""Accounts at the six venues, through ccxt."""
