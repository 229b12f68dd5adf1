"""Tests; a package, because some installed distributions bring a top-level `tests` of their own."""
