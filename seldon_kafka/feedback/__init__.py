"""Writes feedback to the feedback topic, and lists it: `seldon-kafka feedback`."""
