"""What every HTTP request goes through: who asks, how often, how much, and how it is answered."""
