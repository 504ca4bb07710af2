"""The topics that the runtime lives on: ``python -m seldon_kafka.topics``."""
