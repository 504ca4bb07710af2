"""Parses the `/metrics` of supervisors, and computes differences, sums and quantiles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

Key = tuple[str, tuple[tuple[str, str], ...]]
"""The name of a sample, and its labels without the labels `worker` and `pid`."""

Samples = Mapping[Key, float]

_WORKER_LABELS = ("worker", "pid")
_GAUGES = ("model_drift_index",)


def parse(text: str) -> Samples:
    """Parses the content of `/metrics`, and adds up the samples of all workers.

    The result has the maximum of the gauge `model_drift_index` instead of a sum.

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
    """Returns the sums of samples, for `model_drift_index` the maximum."""
    total: dict[Key, float] = {}
    for samples in samples_of_each:
        for key, value in samples.items():
            if key[0] in _GAUGES:
                total[key] = max(total.get(key, 0.0), value)
            else:
                total[key] = total.get(key, 0.0) + value
    return total


def counts(samples: Samples) -> Samples:
    """Returns the samples without `model_drift_index`, which means nothing after a worker's end."""
    return {key: value for key, value in samples.items() if key[0] not in _GAUGES}


def since(before: Samples, now: Samples) -> Samples:
    """Returns the increase of each sample since an earlier snapshot.

    A value that has become smaller was reset. Its increase is the value itself.
    """
    return {
        key: value - before.get(key, 0.0) if value >= before.get(key, 0.0) else value
        for key, value in now.items()
    }


def by_label(samples: Samples, name: str, label: str) -> dict[str, float]:
    """Returns the values of one metric by the value of one label, added up over other labels."""
    found: dict[str, float] = {}
    for (metric, labels), value in samples.items():
        wanted = dict(labels).get(label) if metric == name else None
        if wanted is not None:
            found[wanted] = found.get(wanted, 0.0) + value
    return found


def total(samples: Samples, name: str) -> float:
    """Returns the sum of the values of one metric, over all labels."""
    return sum(value for (metric, _), value in samples.items() if metric == name)


def messages(samples: Samples) -> float:
    """Returns the number of replies and dead letters."""
    replies = total(samples, "kafka_worker_replies_total")
    return replies + total(samples, "kafka_worker_dead_letters_total")


@dataclass(frozen=True)
class Buckets:
    """A histogram.

    Attributes:
        bounds: upper bounds of the buckets, in ascending order; the last bound is infinite.
        counts: number of observations in each bucket, not cumulative.
    """

    bounds: tuple[float, ...]
    counts: tuple[float, ...]

    def quantile(self, share: float) -> float | None:
        """Returns a quantile, estimated as in PromQL; None if there are no observations.

        The estimate is linear within a bucket. In the last bucket, it is the last finite bound.

        Args:
            share: share of the observations below the quantile, from 0 to 1.
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
    """Returns the buckets of a histogram, added up over all labels except `le`."""
    upto: dict[float, float] = {}
    for text, value in by_label(samples, f"{name}_bucket", "le").items():
        upto[float(text)] = value
    bounds = tuple(sorted(upto))
    counts, before = [], 0.0
    for bound in bounds:
        counts.append(max(0.0, upto[bound] - before))
        before = upto[bound]
    return Buckets(bounds, tuple(counts))
