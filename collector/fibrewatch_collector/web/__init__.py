"""Metrics, health, API and the live page over HTTP."""
