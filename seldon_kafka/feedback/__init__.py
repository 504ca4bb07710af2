"""The feedback topic: what was right and what was wrong."""
