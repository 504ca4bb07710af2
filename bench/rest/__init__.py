"""Measures REST and gRPC under load: Locust and ghz call the image's server and Seldon's."""
