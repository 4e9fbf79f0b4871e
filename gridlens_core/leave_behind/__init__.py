"""The brief and the slides."""
