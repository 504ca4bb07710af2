"""Helpers that the tests of several houses share."""
