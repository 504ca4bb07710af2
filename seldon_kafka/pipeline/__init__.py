"""From records to outcomes, without Kafka clients."""
