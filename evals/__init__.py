"""The eval harness: decisions are tested before they are trusted."""
