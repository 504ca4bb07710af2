"""The worker process: consumes, has batches answered, publishes. `python -m kafka.worker`."""
