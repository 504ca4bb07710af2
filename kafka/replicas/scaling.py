"""How many replicas there should be: the arithmetic of KEDA's Kafka scaler and the HPA behind it.

KEDA adds up the group's lag and hands it to a HorizontalPodAutoscaler as an external metric with a
target of `lagThreshold` for each pod; what a setting here does, it does in the cluster. Sources:
KEDA 2.20, `pkg/scalers/kafka_scaler.go` (`getTotalLag`), and Kubernetes 1.34,
`pkg/controller/podautoscaler` (`GetExternalPerPodMetricReplicas`,
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

MOST_REPLICAS = 64

# The HPA's own: within a tenth of the target nothing is done; within 15 s it adds at most as many
# pods as there are, or four, whichever is more.
_TOLERANCE = 0.1
_GROWTH_PERIOD_S = 15.0
_GROWTH_PODS = 4


class PolicyError(ValueError):
    """A policy contradicts itself; the message says how."""


@dataclasses.dataclass(frozen=True)
class Policy:
    """When to have how many replicas.

    Attributes:
        mode: `off` (none is started or replaced), `by-hand` (`count` of them, those that die are
            replaced, as a Deployment does it) or `automatic` (as many as the lag asks for).
        minimum: fewest replicas; 0 lets an idle group go to sleep (`minReplicaCount`).
        maximum: most replicas (`maxReplicaCount`).
        count: how many by hand; taken to be within the two.
        lag_per_worker: messages that one replica may be behind (`lagThreshold`).
        polling_interval_s: seconds between two looks at the lag (`pollingInterval`).
        stabilisation_s: of what was asked for within so many seconds, the most is kept
            (`scaleDown.stabilizationWindowSeconds`; in a cluster 300 unless set).
        cooldown_s: seconds without any lag before the last replica goes (`cooldownPeriod`; in a
            cluster 300 unless set).
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
        """Refuses what can't be.

        Raises:
            PolicyError: it can't.
        """
        if self.mode not in MODES:
            raise PolicyError(f"scaling is {', '.join(MODES)}, not {self.mode}")
        if not 0 <= self.minimum <= self.maximum:
            raise PolicyError(
                f"at least {self.minimum} and at most {self.maximum} replicas can't both be"
            )
        if not 1 <= self.maximum <= MOST_REPLICAS:
            raise PolicyError(f"at most {MOST_REPLICAS} replicas, not {self.maximum}")
        if self.lag_per_worker < 1:
            raise PolicyError("the lag for each replica is 1 message or more")
        if not (0.1 <= self.polling_interval_s <= 3600):
            raise PolicyError("the lag is looked at every 0.1 to 3600 s")
        if not (0 <= self.stabilisation_s <= 3600 and 0 <= self.cooldown_s <= 3600):
            raise PolicyError("stabilisation and cool-down are 0 to 3600 s")

    def within(self, count: int) -> int:
        """The nearest number of replicas that is allowed."""
        return min(max(count, self.minimum), self.maximum)


def metric(lag_by_partition: Mapping[int, int], lag_per_worker: int) -> int:
    """What KEDA tells the autoscaler: the lag, but no more than one replica a partition works off.

    Args:
        lag_by_partition: messages that the group is behind, by partition of the input topic.
        lag_per_worker: `lagThreshold`.
    """
    lag = sum(lag_by_partition.values())
    # Whole numbers divided as Go does it.
    if lag // lag_per_worker > len(lag_by_partition):
        lag = len(lag_by_partition) * lag_per_worker
    return lag


def asked_for(lag: int, lag_per_worker: int, now: int) -> int:
    """How many replicas the autoscaler would have for a metric, before any limit.

    Args:
        lag: as `metric` says.
        lag_per_worker: the target for each pod.
        now: replicas that there are.
    """
    if now and abs(lag / (lag_per_worker * now) - 1) <= _TOLERANCE:
        return now
    return math.ceil(lag / lag_per_worker)


class Scaler:
    """Remembers what the arithmetic needs of the past.

    Times are seconds of one clock that does not go back.
    """

    def __init__(self) -> None:
        self._wishes: deque[tuple[float, int]] = deque()
        self._growth: deque[tuple[float, int]] = deque()
        self._active_at: float | None = None

    def decide(
        self, policy: Policy, lag_by_partition: Mapping[int, int], now: int, at_s: float
    ) -> int:
        """How many replicas there should be from now on.

        Args:
            policy: an automatic one.
            lag_by_partition: as for `metric`.
            now: replicas that there are.
            at_s: the time.
        """
        active = sum(lag_by_partition.values()) > 0
        if active or self._active_at is None:
            self._active_at = at_s
        if now == 0:
            # From nothing to the first it is KEDA that scales, and not the autoscaler.
            self._wishes.clear()
            return max(1, policy.minimum) if active else policy.minimum
        if not active and policy.minimum == 0 and at_s - self._active_at >= policy.cooldown_s:
            return 0
        lag = metric(lag_by_partition, policy.lag_per_worker)
        wish = self._stabilised(asked_for(lag, policy.lag_per_worker, now), now, policy, at_s)
        most = min(policy.maximum, self._most_growth(now, at_s))
        decided = min(max(wish, 1, policy.minimum), max(most, policy.minimum, 1))
        if decided > now:
            self._growth.append((at_s, decided - now))
        return decided

    def _stabilised(self, wish: int, now: int, policy: Policy, at_s: float) -> int:
        """The most that was wished for lately, so that a short lull costs no replica."""
        self._wishes.append((at_s, wish))
        while self._wishes[0][0] < at_s - policy.stabilisation_s:
            self._wishes.popleft()
        latest = max(each for _, each in self._wishes)
        return wish if wish > now else min(now, latest)

    def _most_growth(self, now: int, at_s: float) -> int:
        while self._growth and self._growth[0][0] <= at_s - _GROWTH_PERIOD_S:
            self._growth.popleft()
        before = now - sum(each for _, each in self._growth)
        # The limit is on growth: those that run stay, though some that were added may be gone.
        return max(now, 2 * before, before + _GROWTH_PODS)
