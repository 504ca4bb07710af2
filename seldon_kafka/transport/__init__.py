"""Consumed records, transactions, and output topics with their limits."""
