"""Reads a supervisor's `/metrics`, and computes differences, sums and quantiles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

Key = tuple[str, tuple[tuple[str, str], ...]]
"""The name of a sample, and its labels without those of the worker."""

Samples = Mapping[Key, float]

_WORKER_LABELS = ("worker", "pid")
_GAUGES = ("model_drift_index",)


def parse(text: str) -> Samples:
    """Reads the samples of a `/metrics` page, and adds up those of all workers.

    Args:
        text: metrics in Prometheus' text format.

    Raises:
        ValueError: the text has another format.
    """
    found: dict[Key, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = tuple(
                (name, value)
                for name, value in sorted(sample.labels.items())
                if name not in _WORKER_LABELS
            )
            key = (sample.name, labels)
            if sample.name in _GAUGES:
                found[key] = max(found.get(key, 0.0), sample.value)
            else:
                found[key] = found.get(key, 0.0) + sample.value
    return found


def added(samples_of_each: Iterable[Samples]) -> Samples:
    """Returns the sums of the samples of several supervisors."""
    total: dict[Key, float] = {}
    for samples in samples_of_each:
        for key, value in samples.items():
            if key[0] in _GAUGES:
                total[key] = max(total.get(key, 0.0), value)
            else:
                total[key] = total.get(key, 0.0) + value
    return total


def counts(samples: Samples) -> Samples:
    """Returns the samples that still count after the end of a supervisor: all except gauges."""
    return {key: value for key, value in samples.items() if key[0] not in _GAUGES}


def since(before: Samples, now: Samples) -> Samples:
    """Returns the differences between two snapshots; a counter that was reset counts from 0."""
    return {
        key: value - before.get(key, 0.0) if value >= before.get(key, 0.0) else value
        for key, value in now.items()
    }


def by_label(samples: Samples, name: str, label: str) -> dict[str, float]:
    """Returns the values of one metric by one of its labels."""
    found: dict[str, float] = {}
    for (metric, labels), value in samples.items():
        wanted = dict(labels).get(label) if metric == name else None
        if wanted is not None:
            found[wanted] = found.get(wanted, 0.0) + value
    return found


def total(samples: Samples, name: str) -> float:
    """Returns the sum of all values of one metric."""
    return sum(value for (metric, _), value in samples.items() if metric == name)


def messages(samples: Samples) -> float:
    """Returns the number of messages that workers answered, including dead letters."""
    replies = total(samples, "kafka_worker_replies_total")
    return replies + total(samples, "kafka_worker_dead_letters_total")


@dataclass(frozen=True)
class Buckets:
    """A histogram.

    Attributes:
        bounds: upper bounds of the buckets, the last one infinite.
        counts: number of observations in each bucket, not cumulative.
    """

    bounds: tuple[float, ...]
    counts: tuple[float, ...]

    def quantile(self, share: float) -> float | None:
        """Returns a quantile, estimated as PromQL does; None if there are no observations.

        The estimate is linear within a bucket. In the last bucket, it is the last finite bound.
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
    """Returns the buckets of a histogram, added up over all its labels."""
    upto: dict[float, float] = {}
    for text, value in by_label(samples, f"{name}_bucket", "le").items():
        upto[float(text)] = value
    bounds = tuple(sorted(upto))
    counts, before = [], 0.0
    for bound in bounds:
        counts.append(max(0.0, upto[bound] - before))
        before = upto[bound]
    return Buckets(bounds, tuple(counts))
