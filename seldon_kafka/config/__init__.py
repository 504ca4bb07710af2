"""Settings, properties of the Kafka clients, and access rights."""
