"""Apache Kafka and replicas of the image on this machine."""
