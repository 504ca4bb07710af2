"""REST and gRPC under load: Locust and ghz against the image's server and Seldon's own."""
