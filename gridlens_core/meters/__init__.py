"""What meters send: pure arrays in, arrays out; no database."""
