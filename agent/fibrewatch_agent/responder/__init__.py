"""The far end: what boxes measure against."""
