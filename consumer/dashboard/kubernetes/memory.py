"""How much memory pods take, in clusters that measure it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from kubernetes.utils.quantity import parse_quantity

from consumer.dashboard.fleet import FleetError

# The metrics server itself looks every 15 s.
_EVERY_S = 5.0
_AGAIN_S = 30.0


class Memory:
    """Asks for it now and then, and less often where nobody answers."""

    def __init__(self, ask: Callable[[], list[dict[str, Any]]]) -> None:
        """Ask for nothing yet.

        Args:
            ask: Gets the PodMetrics of metrics.k8s.io/v1beta1; raises FleetError where there
                are none.
        """
        self._ask = ask
        self._latest: dict[str, int] = {}
        self._next_s = 0.0

    def by_pod(self) -> dict[str, int]:
        """Bytes, by the pod's name; those that were not measured are missing."""
        if time.monotonic() >= self._next_s:
            try:
                self._latest = _read(self._ask())
                self._next_s = time.monotonic() + _EVERY_S
            except FleetError:
                self._latest = {}
                self._next_s = time.monotonic() + _AGAIN_S
        return self._latest


def _read(metrics: list[dict[str, Any]]) -> dict[str, int]:
    found = {}
    for each in metrics:
        try:
            found[each["metadata"]["name"]] = sum(
                _bytes(container["usage"]["memory"]) for container in each["containers"]
            )
        except (KeyError, ValueError, ArithmeticError):
            continue  # measured in part only, as of a container that is not there any more
    return found


def _bytes(quantity: str) -> int:
    value = parse_quantity(quantity)
    if not 0 <= value < 2**63:
        raise ValueError(quantity)
    return int(value)
