"""The container's first process: Seldon's server and the workers below it.

`seldon-kafka serve`.
"""
