"""Tests of the dashboard without brokers and without a browser."""
