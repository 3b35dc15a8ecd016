"""What publishers say of an asset, as numbers."""
