"""Whether a database can carry the demo."""
