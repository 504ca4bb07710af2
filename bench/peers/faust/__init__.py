"""Faust."""
