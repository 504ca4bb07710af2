"""Dead letters: what could not be answered, listed, explained and replayed.

`python -m kafka.dead_letter`.
"""
