"""Judging the lines: one-minute bins for the SLA, and apart from them each site's state right now."""
