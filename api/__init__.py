"""The doors of the desk: the command line."""
