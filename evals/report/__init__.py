"""Reports of a run: one HTML file that needs nothing else, JSON, and JUnit XML."""
