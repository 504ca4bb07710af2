"""Measures the throughput and latency of this runtime and of comparable systems."""
