"""What is read from Kafka and written to it."""
