"""What screens show, without drawing it."""
