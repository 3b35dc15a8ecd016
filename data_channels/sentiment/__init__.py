"""What people say of an asset, as numbers: sources of posts, their scoring, and the damping of those who shout."""
