"""What the KPI views say, and why they moved."""
