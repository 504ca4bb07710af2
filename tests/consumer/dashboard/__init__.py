"""The dashboard's parts that need neither brokers nor a browser."""
