"""Settings, configurations of the Kafka clients, and access rights."""
