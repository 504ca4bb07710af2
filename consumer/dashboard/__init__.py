"""The web dashboard, which shows and controls the stream."""
