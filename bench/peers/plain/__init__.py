"""A loop without a framework."""
