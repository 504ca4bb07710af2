"""Reads the output topic, and shows, writes or scores the answers; contains the dashboard."""
