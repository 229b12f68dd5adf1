"""The DHCP exchange, in a short-lived child."""
