"""What the routes work out of the ledger and of the desk in this process."""
