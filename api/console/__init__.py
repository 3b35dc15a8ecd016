"""What people see: lines while a session runs, tables at its end, the trail of one run."""
