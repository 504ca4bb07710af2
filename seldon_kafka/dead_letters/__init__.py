"""Dead letters: what could not be answered, listed, shown, replayed and purged.

`seldon-kafka dead-letters`.
"""
