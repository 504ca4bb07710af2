"""The topics that the runtime lives on: ``seldon-kafka topics``."""
