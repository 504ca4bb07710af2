"""The first process of the container, `seldon-kafka serve`: Seldon's server and the workers."""
