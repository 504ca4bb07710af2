"""The web dashboard: see the stream, and steer it."""
