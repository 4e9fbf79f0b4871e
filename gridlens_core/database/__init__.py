"""The door to PostgreSQL, and what is found behind it."""
