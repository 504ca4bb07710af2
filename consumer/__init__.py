"""Reads the topic `model_output`: a terminal view, lines, files, scores, and the dashboard."""
