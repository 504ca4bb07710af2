"""The request log: each request with its reply on a topic.

`seldon-kafka request-log` writes the topic to OpenSearch or Elasticsearch.
"""
