"""Joins the processes of `TF_CONFIG` that train one network together."""

import contextlib
import json
import os
from collections.abc import Iterator
from typing import Any

_ROLES = ("chief", "worker")


class ProcessesError(Exception):
    """`TF_CONFIG` does not describe processes that can train together; the message says why."""


class ProcessLost(Exception):
    """Another process of the training ended; the message says what to do."""


def count() -> int:
    """Returns the number of processes; 1 if `TF_CONFIG` is not set or names none.

    Raises:
        ProcessesError: `TF_CONFIG` is not JSON, or has another structure.
    """
    config = os.environ.get("TF_CONFIG") or "{}"
    try:
        cluster = json.loads(config).get("cluster", {})
        return max(1, sum(len(cluster.get(role, ())) for role in _ROLES))
    except (ValueError, AttributeError, TypeError) as error:
        raise ProcessesError(
            'TF_CONFIG: expected JSON such as {"cluster": {"chief": ["host:port"], "worker": '
            f'["host:port"]}}, "task": {{"type": "worker", "index": 0}}}}, got {config!r}'
        ) from error


@contextlib.contextmanager
def joined() -> Iterator[Any]:
    """Joins this process with the others for the length of the block.

    Yields:
        The `tf.distribute` strategy of all processes; None without `TF_CONFIG`.

    Raises:
        ProcessesError: TensorFlow cannot use `TF_CONFIG`.
        ProcessLost: another process ended.
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
            "another process ended: start all processes again to resume from the last checkpoint"
        ) from error
