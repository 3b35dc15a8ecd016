"""The audit trail: who changed what, when and why, in a chain of hashes that shows every later change to it."""
