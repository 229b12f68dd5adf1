"""STAMP (RFC 8762, RFC 8972): packets, sessions, and the figures of their windows."""
