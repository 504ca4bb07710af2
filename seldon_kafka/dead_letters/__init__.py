"""Dead letters: what could not be answered, listed, shown, replayed and purged.

`python -m seldon_kafka.dead_letters`.
"""
