"""Tests that need a real broker; they share one local cluster."""
