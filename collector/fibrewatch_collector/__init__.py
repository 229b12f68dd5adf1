"""The server: MQTT in, store, metrics, verdicts, page."""
