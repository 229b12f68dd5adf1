"""What a schedule sends and receives, computed before it runs. Pure."""
