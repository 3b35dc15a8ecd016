"""What the chains themselves tell: holders, activity, and the way of coins to and from exchanges."""
