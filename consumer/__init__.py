"""Reads the output topic, and shows, writes or scores the answers; has the dashboard."""
