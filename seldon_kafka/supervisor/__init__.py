"""The container's first process: Seldon's server and the workers below it.

`python -m seldon_kafka.supervisor`.
"""
