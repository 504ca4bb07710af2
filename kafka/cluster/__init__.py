"""Apache Kafka on this machine, from pip alone: ``python -m kafka.cluster``."""
