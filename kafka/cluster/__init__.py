"""Apache Kafka on this machine, installed with pip: `python -m kafka.cluster`."""
