"""The feedback topic: `seldon-kafka feedback`."""
