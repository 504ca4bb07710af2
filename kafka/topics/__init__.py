"""The topics that the runtime lives on: ``python -m kafka.topics``."""
