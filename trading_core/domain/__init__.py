"""The words of the desk. Standard library only."""
