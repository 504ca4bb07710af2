"""Runs several replicas on one machine: a fixed number, or as many as the lag needs."""
