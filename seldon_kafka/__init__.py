"""Serves any Seldon wrapper class between Kafka topics, exactly once and in order."""

__version__ = "0.2.0"
