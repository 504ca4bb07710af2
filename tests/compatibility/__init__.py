"""Compares the runtime's answers with those of `seldon_core` itself."""
