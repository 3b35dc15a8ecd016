"""One module for each command, or for a few that share their work. What is slow to import is imported when a command runs."""
