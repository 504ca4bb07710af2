"""Apache Kafka on this machine, without a container: `python -m kafka.cluster`."""
