"""The request log: each request with its reply on a topic, and from there into a search engine.

`python -m seldon_kafka.request_log` writes the topic into OpenSearch or Elasticsearch.
"""
