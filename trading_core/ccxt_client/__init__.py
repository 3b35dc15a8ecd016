"""What the feeds and the brokers share of ccxt's clients: where they ask, and how exactly they are read. It imports no ccxt."""
