"""What needs a real broker: they all use one local cluster."""
