"""Computes the number of replicas like KEDA's Kafka scaler and the HorizontalPodAutoscaler (HPA).

KEDA passes the total lag of the group to an HPA as an external metric, with a target of
`lagThreshold` for each pod. A setting here has the same effect as the setting of KEDA or the HPA
that its description names. Sources: KEDA 2.20, `pkg/scalers/kafka_scaler.go` (`getTotalLag`), and
Kubernetes 1.34, `pkg/controller/podautoscaler` (`GetExternalPerPodMetricReplicas`,
`normalizeDesiredReplicasWithBehaviors`).
"""

from __future__ import annotations

import dataclasses
import math
from collections import deque
from collections.abc import Mapping

OFF = "off"
BY_HAND = "by-hand"
AUTOMATIC = "automatic"
MODES = (OFF, BY_HAND, AUTOMATIC)

MAX_REPLICAS = 64

# Constants of the HPA. If the lag differs from the target by up to a tenth, the number does not
# change. In 15 s, the number at most doubles or rises by four, whichever is more.
_TOLERANCE = 0.1
_GROWTH_PERIOD_S = 15.0
_GROWTH_PODS = 4


class PolicyError(ValueError):
    """A value of a policy is out of range, or values contradict each other."""


@dataclasses.dataclass(frozen=True)
class Policy:
    """The number of replicas, or the rules that determine it.

    Attributes:
        mode: `off`, `by-hand` or `automatic`. With `off`, no replica is started or replaced. With
            `by-hand`, `count` replicas run, as in a Deployment. With `automatic`, the lag
            determines the number.
        minimum: minimum number of replicas (`minReplicaCount`). With 0, an idle group has none.
        maximum: maximum number of replicas (`maxReplicaCount`).
        count: number of replicas in the mode `by-hand`, limited to minimum and maximum.
        lag_per_worker: target of the lag for each replica, in messages (`lagThreshold`).
        polling_interval_s: seconds between two queries of the lag (`pollingInterval`).
        stabilisation_s: length of a time window, in seconds. The number falls only to the highest
            number that the lag needed in this window
            (`scaleDown.stabilizationWindowSeconds`; 300 by default in Kubernetes).
        cooldown_s: seconds without lag before the last replica stops (`cooldownPeriod`; 300 by
            default in KEDA).
    """

    mode: str = BY_HAND
    minimum: int = 1
    maximum: int = 4
    count: int = 2
    lag_per_worker: int = 100
    polling_interval_s: float = 1.0
    stabilisation_s: float = 20.0
    cooldown_s: float = 30.0

    def __post_init__(self) -> None:
        """Checks the values.

        Raises:
            PolicyError: a value is outside its range, or values contradict each other.
        """
        if self.mode not in MODES:
            raise PolicyError(f"the mode must be one of {', '.join(MODES)}, not {self.mode}")
        if not 0 <= self.minimum <= self.maximum:
            raise PolicyError(
                f"the minimum of {self.minimum} replicas must be between 0 and the maximum of "
                f"{self.maximum}"
            )
        if not 1 <= self.maximum <= MAX_REPLICAS:
            raise PolicyError(
                f"the maximum must be from 1 to {MAX_REPLICAS} replicas, not {self.maximum}"
            )
        if self.lag_per_worker < 1:
            raise PolicyError("the lag per replica must be 1 message or more")
        if not (0.1 <= self.polling_interval_s <= 3600):
            raise PolicyError("the polling interval must be from 0.1 to 3600 s")
        if not (0 <= self.stabilisation_s <= 3600 and 0 <= self.cooldown_s <= 3600):
            raise PolicyError("stabilisation and cool-down must be from 0 to 3600 s")

    def within(self, count: int) -> int:
        """Returns a number of replicas, limited to minimum and maximum."""
        return min(max(count, self.minimum), self.maximum)


def metric(lag_by_partition: Mapping[int, int], lag_per_worker: int) -> int:
    """Returns the metric that KEDA reports: the total lag, limited by the number of partitions.

    If the quotient of lag and `lag_per_worker`, rounded down, is greater than the number of
    partitions, the result is `lag_per_worker` for each partition. So the HPA starts hardly more
    replicas than there are partitions.

    Args:
        lag_by_partition: lag of the group in messages, by partition of the input topic.
        lag_per_worker: `lagThreshold`.
    """
    lag = sum(lag_by_partition.values())
    # KEDA too rounds this quotient down.
    if lag // lag_per_worker > len(lag_by_partition):
        lag = len(lag_by_partition) * lag_per_worker
    return lag


def desired_replicas(lag: int, lag_per_worker: int, current: int) -> int:
    """Returns the number of replicas that the HPA computes for a metric, before all limits.

    Args:
        lag: the result of `metric`.
        lag_per_worker: target of the lag for each replica, in messages.
        current: current number of replicas.
    """
    if current and abs(lag / (lag_per_worker * current) - 1) <= _TOLERANCE:
        return current
    return math.ceil(lag / lag_per_worker)


class Scaler:
    """Decides on the number of replicas, and keeps the earlier decisions that the rules need."""

    def __init__(self) -> None:
        self._desired: deque[tuple[float, int]] = deque()
        self._growth: deque[tuple[float, int]] = deque()
        self._active_at: float | None = None

    def decide(
        self, policy: Policy, lag_by_partition: Mapping[int, int], current: int, at_s: float
    ) -> int:
        """Returns the wanted number of replicas.

        Args:
            policy: a policy with the mode `automatic`.
            lag_by_partition: lag of the group in messages, by partition of the input topic.
            current: current number of replicas, without those that are stopping.
            at_s: time of the decision, in seconds of a monotonic clock.
        """
        active = sum(lag_by_partition.values()) > 0
        if active or self._active_at is None:
            self._active_at = at_s
        if current == 0:
            # KEDA itself scales from zero to one, because the HPA does not.
            self._desired.clear()
            return max(1, policy.minimum) if active else policy.minimum
        if not active and policy.minimum == 0 and at_s - self._active_at >= policy.cooldown_s:
            return 0
        lag = metric(lag_by_partition, policy.lag_per_worker)
        desired = desired_replicas(lag, policy.lag_per_worker, current)
        desired = self._stabilised(desired, current, policy, at_s)
        limit = min(policy.maximum, self._growth_limit(current, at_s))
        decided = min(max(desired, 1, policy.minimum), max(limit, policy.minimum, 1))
        if decided > current:
            self._growth.append((at_s, decided - current))
        return decided

    def _stabilised(self, desired: int, current: int, policy: Policy, at_s: float) -> int:
        """Returns the number after stabilisation: a short pause does not stop replicas."""
        self._desired.append((at_s, desired))
        while self._desired[0][0] < at_s - policy.stabilisation_s:
            self._desired.popleft()
        highest = max(each for _, each in self._desired)
        return desired if desired > current else min(current, highest)

    def _growth_limit(self, current: int, at_s: float) -> int:
        while self._growth and self._growth[0][0] <= at_s - _GROWTH_PERIOD_S:
            self._growth.popleft()
        before = current - sum(each for _, each in self._growth)
        # The limit is never below the current number, even if recently added replicas have died.
        return max(current, 2 * before, before + _GROWTH_PODS)
