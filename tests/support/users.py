"""Whom this user namespace knows: that of an ordinary user's test run knows root alone."""

from pathlib import Path


def mapped(user: int) -> bool:
    """Whether a process here can become this user."""
    ranges = (line.split() for line in Path("/proc/self/uid_map").read_text("ascii").splitlines())
    return any(int(first) <= user < int(first) + int(count) for first, _, count in ranges)
