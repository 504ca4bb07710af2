"""The container's first process, which runs Seldon's server and the workers: `seldon-kafka serve`."""
