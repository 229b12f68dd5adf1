"""Recording and alert rules from one source: for Prometheus, and for Grafana's own engine."""
