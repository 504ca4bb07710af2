"""The request log: each request with its reply on a topic, and from there into a search engine.

`seldon-kafka request-log` writes the topic into OpenSearch or Elasticsearch.
"""
