"""The story as data, and the director that plays it."""
