"""From an intent to a booked fill."""
