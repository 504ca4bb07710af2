"""Dead letters: what could not be answered, listed, shown, replayed and purged.

`python -m kafka.dead_letter`.
"""
