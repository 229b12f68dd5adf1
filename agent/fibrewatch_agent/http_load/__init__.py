"""Transfers over HTTP from or to any server, in a child."""
