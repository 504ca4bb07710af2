"""Serves any Seldon wrapper class between Kafka topics, exactly once and in order."""
