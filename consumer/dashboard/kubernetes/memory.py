"""Reads the memory of pods from the metrics server, if the cluster has one."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from kubernetes.utils.quantity import parse_quantity

from consumer.dashboard.fleet import FleetError

# The metrics server itself measures only every 15 s, so a shorter interval would show little more.
_EVERY_S = 5.0
_RETRY_S = 30.0


class Memory:
    """Requests the memory of pods at intervals, and less often after an error.

    Args:
        fetch: function that returns the PodMetrics of metrics.k8s.io/v1beta1. It raises FleetError
            if they can't be read.
    """

    def __init__(self, fetch: Callable[[], list[dict[str, Any]]]) -> None:
        self._fetch = fetch
        self._latest: dict[str, int] = {}
        self._next_s = 0.0

    def by_pod(self) -> dict[str, int]:
        """Returns the memory in bytes, by name of the pod; empty if it can't be read."""
        if time.monotonic() >= self._next_s:
            try:
                self._latest = _read(self._fetch())
                self._next_s = time.monotonic() + _EVERY_S
            except FleetError:
                self._latest = {}
                self._next_s = time.monotonic() + _RETRY_S
        return self._latest


def _read(metrics: list[dict[str, Any]]) -> dict[str, int]:
    found = {}
    for each in metrics:
        try:
            found[each["metadata"]["name"]] = sum(
                _bytes(container["usage"]["memory"]) for container in each["containers"]
            )
        except (KeyError, ValueError, ArithmeticError):
            continue  # the entry is incomplete, for example because a container has ended
    return found


def _bytes(quantity: str) -> int:
    value = parse_quantity(quantity)
    if not 0 <= value < 2**63:
        raise ValueError(quantity)
    return int(value)
