"""FastStream."""
