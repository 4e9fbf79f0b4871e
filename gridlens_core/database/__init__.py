"""Access to PostgreSQL, and what is discovered in the database."""
