"""Reads the topic `model_output`: terminal view, lines, scores."""
