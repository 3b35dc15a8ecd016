"""Scorers: plain functions over what a desk did."""
