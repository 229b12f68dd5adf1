"""Tests that fill a line: what surrounds them, iperf3, when they may end, what their figures prove."""
