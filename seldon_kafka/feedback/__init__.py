"""Writes and lists the feedback topic with `seldon-kafka feedback`."""
