"""DNS, HTTP, NTP and certificates as a client sees them."""
