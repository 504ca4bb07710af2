"""The worker process: consumes, has batches answered, publishes."""
