"""Sockets, kernel stamps, names and neighbours: what probes speak the network with; nothing here knows a probe."""
