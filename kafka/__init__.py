"""The stream runtime between two Kafka topics, for any Seldon Core v1 Python class."""
