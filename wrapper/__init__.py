"""The Seldon classes that s2i builds around the model."""
