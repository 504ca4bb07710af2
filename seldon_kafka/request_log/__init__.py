"""Copies the request log to OpenSearch or Elasticsearch, and logs requests to Seldon's server.

The request log is a topic with one record for each request and its reply.
"""
