"""UDP capacity by RFC 9097's search, both ends."""
