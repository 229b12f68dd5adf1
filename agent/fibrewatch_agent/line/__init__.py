"""A line that a box measures: its contract, its hours and budget, its landmarks, and what its tenants do on it."""
