"""Traceroute and path MTU along flows that are kept (Paris traceroute, RFC 8899)."""
