"""Overlays and images for Kubernetes, and the commands that apply them."""
