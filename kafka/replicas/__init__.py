"""Runs replicas on this machine: a fixed number, or a number that follows the lag."""
