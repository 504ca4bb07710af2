"""Measures the system, alone and beside its peers."""
