"""Tests of the package `producer`."""
