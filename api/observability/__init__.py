"""What the desk tells of itself: metrics, traces and logs."""
