"""The box at a site: schedules probes, spools results, publishes them."""
