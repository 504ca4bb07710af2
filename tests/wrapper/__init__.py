"""Tests of the package `wrapper`."""
