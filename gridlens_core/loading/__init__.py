"""Reads from a file: what it holds, how sure that is, and how it gets into the local database."""
