"""The processes that train one network together, as `TF_CONFIG` names them."""

import contextlib
import json
import os
from collections.abc import Iterator
from typing import Any

_ROLES = ("chief", "worker")


class ProcessesError(Exception):
    """`TF_CONFIG` names no processes that can train together; the message says why."""


class ProcessLost(Exception):
    """A process that trained together with this one is gone; the message says what to do."""


def count() -> int:
    """How many processes there are; 1 if there is no `TF_CONFIG`.

    Raises:
        ProcessesError: `TF_CONFIG` is no JSON, or names no processes.
    """
    said = os.environ.get("TF_CONFIG") or "{}"
    try:
        cluster = json.loads(said).get("cluster", {})
        return max(1, sum(len(cluster.get(role, ())) for role in _ROLES))
    except (ValueError, AttributeError, TypeError) as error:
        raise ProcessesError(
            'TF_CONFIG: expected JSON such as {"cluster": {"chief": ["host:port"], "worker": '
            f'["host:port"]}}, "task": {{"type": "worker", "index": 0}}}}, got {said!r}'
        ) from error


@contextlib.contextmanager
def joined() -> Iterator[Any]:
    """A `tf.distribute` strategy that joins this process with the others; None if it is alone.

    Raises:
        ProcessesError: `TF_CONFIG` gives this process no place among the others.
        ProcessLost: One of the others ended.
    """
    import tensorflow as tf

    if not os.environ.get("TF_CONFIG"):
        yield None
        return
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    except (ValueError, TypeError, tf.errors.InvalidArgumentError) as error:
        raise ProcessesError(f"TF_CONFIG: {error}") from error
    try:
        yield strategy
    except (tf.errors.UnavailableError, tf.errors.AbortedError) as error:
        raise ProcessLost(
            "another process is gone: start all of them again, they go on from the last checkpoint"
        ) from error
