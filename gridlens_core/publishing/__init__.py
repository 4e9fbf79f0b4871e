"""Bringing reads into the database, safely."""
