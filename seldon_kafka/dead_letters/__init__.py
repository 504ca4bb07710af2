"""Dead letters: list, show, replay and purge them with `seldon-kafka dead-letters`."""
