"""What the Wi-Fi probes are made of."""
