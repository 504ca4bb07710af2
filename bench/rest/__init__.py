"""Measures REST and gRPC under load: Locust and ghz call Seldon's server and the Docker image's."""
