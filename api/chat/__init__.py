"""A conversation with the desk in a terminal: a client of the API that holds nothing of the desk itself."""
