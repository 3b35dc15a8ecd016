"""Conversations: an operator's questions, answered by the agents they belong to, and orders put on cards to confirm."""
