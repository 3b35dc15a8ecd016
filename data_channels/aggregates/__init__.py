"""Prices and totals over many venues and chains: what a single venue's numbers are checked against."""
