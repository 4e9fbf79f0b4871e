"""What a presenter can do."""
