"""From a supervisor's `/metrics` to numbers, and from two looks at them to rates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

Key = tuple[str, tuple[tuple[str, str], ...]]
"""A sample's name, and its labels without those that tell workers apart."""

Samples = Mapping[Key, float]

_OF_ONE_WORKER = ("worker", "pid")
_GAUGES_OF_EACH = ("model_drift_index",)


def parse(text: str) -> Samples:
    """The samples of a `/metrics`, those of all workers of a supervisor added up.

    Args:
        text: In Prometheus' text format.

    Raises:
        ValueError: It is not.
    """
    found: dict[Key, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = tuple(
                (name, value)
                for name, value in sorted(sample.labels.items())
                if name not in _OF_ONE_WORKER
            )
            key = (sample.name, labels)
            if sample.name in _GAUGES_OF_EACH:
                found[key] = max(found.get(key, 0.0), sample.value)
            else:
                found[key] = found.get(key, 0.0) + sample.value
    return found


def added(every: Iterable[Samples]) -> Samples:
    """The samples of several supervisors together."""
    total: dict[Key, float] = {}
    for samples in every:
        for key, value in samples.items():
            if key[0] in _GAUGES_OF_EACH:
                total[key] = max(total.get(key, 0.0), value)
            else:
                total[key] = total.get(key, 0.0) + value
    return total


def counts(samples: Samples) -> Samples:
    """Those that stay true of a supervisor that is gone: all but what it was like at the end."""
    return {key: value for key, value in samples.items() if key[0] not in _GAUGES_OF_EACH}


def since(before: Samples, now: Samples) -> Samples:
    """What was counted between two looks; a counter that began anew counts from nothing."""
    return {
        key: value - before.get(key, 0.0) if value >= before.get(key, 0.0) else value
        for key, value in now.items()
    }


def by_label(samples: Samples, name: str, label: str) -> dict[str, float]:
    """The values of one metric by one of its labels."""
    found: dict[str, float] = {}
    for (metric, labels), value in samples.items():
        wanted = dict(labels).get(label) if metric == name else None
        if wanted is not None:
            found[wanted] = found.get(wanted, 0.0) + value
    return found


def total(samples: Samples, name: str) -> float:
    """The sum of all values of one metric."""
    return sum(value for (metric, _), value in samples.items() if metric == name)


def messages(samples: Samples) -> float:
    """Messages that workers answered, with a reply or a dead letter."""
    replies = total(samples, "kafka_worker_replies_total")
    return replies + total(samples, "kafka_worker_dead_letters_total")


@dataclass(frozen=True)
class Buckets:
    """A histogram.

    Attributes:
        bounds: Upper bounds, the last one infinite.
        counts: Observations in each bucket, not added up.
    """

    bounds: tuple[float, ...]
    counts: tuple[float, ...]

    def quantile(self, share: float) -> float | None:
        """The value that a share of the observations stays within, as PromQL estimates it.

        Straight within a bucket; the last finite bound for what is beyond it. None if there are
        no observations.
        """
        whole = sum(self.counts)
        if not whole:
            return None
        left = share * whole
        low = 0.0
        for bound, count in zip(self.bounds, self.counts, strict=True):
            if left <= count and count:
                return low if bound == float("inf") else low + (bound - low) * left / count
            left -= count
            low = bound if bound != float("inf") else low
        return low


def histogram(samples: Samples, name: str) -> Buckets:
    """A histogram's buckets, over all its labels."""
    upto: dict[float, float] = {}
    for text, value in by_label(samples, f"{name}_bucket", "le").items():
        upto[float(text)] = value
    bounds = tuple(sorted(upto))
    counts, before = [], 0.0
    for bound in bounds:
        counts.append(max(0.0, upto[bound] - before))
        before = upto[bound]
    return Buckets(bounds, tuple(counts))
