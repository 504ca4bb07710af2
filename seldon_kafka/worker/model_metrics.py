"""The metrics that a user model reports, in Prometheus, with Seldon's names.

A metric is counted when the outcome of its message is committed, so it is counted once even if the
message is predicted twice. Names, labels and buckets are those of
`seldon_core.metrics.SeldonMetrics`; `worker_id` is the worker's name.
"""

from __future__ import annotations

import logging
import re
from typing import Callable, Dict, Mapping, Optional, Sequence, Tuple, Union

import numpy as np
from prometheus_client import Counter, Gauge, Histogram

from seldon_kafka.codec.plain import is_finite
from seldon_kafka.messages import Json, JsonObject
from seldon_kafka.pipeline.seldon_api import metric_labels

log = logging.getLogger("seldon_kafka.worker")

MOST_SERIES = 1000
"""Largest number of series of a worker; metrics of further series are dropped."""

_NAME = re.compile(r"[^a-zA-Z0-9_:]")
_LABEL = re.compile(r"[^a-zA-Z0-9_]")

DROPPED = Counter(
    "kafka_worker_model_metrics_dropped",
    "Metrics of the class that were not counted: not finite, or of too many series",
    ["worker"],
)


_Observe = Callable[[float], None]
_Family = Union[Counter, Gauge, Histogram]


class ModelMetrics:
    """The series of all reported metrics."""

    def __init__(self) -> None:
        self._series: Dict[Tuple[str, str, Tuple[Tuple[str, str], ...]], _Observe] = {}
        self._families: Dict[Tuple[str, str, Tuple[str, ...]], _Family] = {}

    def count(self, worker: str, metrics: Sequence[Mapping[str, Json]]) -> None:
        """Counts metrics as Seldon reports them: `type`, `key`, `value` and `tags`.

        Args:
            worker: the worker's name.
            metrics: metrics of committed answers.
        """
        for metric in metrics:
            if not self._try_to_count(worker, metric):
                DROPPED.labels(worker).inc()

    def _try_to_count(self, worker: str, metric: Mapping[str, Json]) -> bool:
        """Counts a metric.

        Returns:
            False if its value is not finite, if it is negative for a counter, or if there are too
            many series. True for a metric that Prometheus can't represent, which is only logged.
        """
        observe = self._observer(worker, metric) if is_finite(metric["value"]) else None
        if observe is None:
            return False
        try:
            observe(float(metric["value"]))
        except ValueError:
            # The value is negative, and a counter of Prometheus never falls.
            return False
        return True

    def _observer(self, worker: str, metric: Mapping[str, Json]) -> Optional[_Observe]:
        kind, name = str(metric["type"]), _NAME.sub("_", str(metric["key"]))
        tags = {
            _LABEL.sub("_", str(key)): str(each) for key, each in metric.get("tags", {}).items()
        }
        key = kind, name, tuple(sorted(tags.items()))
        if key not in self._series:
            if len(self._series) >= MOST_SERIES:
                return None
            self._series[key] = self._new_observer(
                kind, name, {**tags, **_LABELS, "worker_id": worker}
            )
        return self._series[key]

    def _new_observer(self, kind: str, name: str, labels: Dict[str, str]) -> _Observe:
        try:
            return _OBSERVERS[kind](self._family(kind, name, tuple(labels)).labels(**labels))
        except (ValueError, KeyError) as error:
            log.warning("the class's metric %r can't be counted: %s", name, error)
            return _ignore

    def _family(self, kind: str, name: str, labels: Tuple[str, ...]) -> _Family:
        key = kind, name, labels
        if key not in self._families:
            # The metric is not registered: Seldon allows several sets of tags for one name, and the
            # registry does not.
            options: JsonObject = {"registry": None, **_OPTIONS.get(kind, {})}
            self._families[key] = _FAMILIES[kind](name, "", labels, **options)
        return self._families[key]


def _ignore(value: float) -> None:
    """Counts nothing."""


def _counted(child: Counter) -> _Observe:
    inc: _Observe = child.inc
    return inc


def _set(child: Gauge) -> _Observe:
    set_value: _Observe = child.set
    return set_value


def _timed(child: Histogram) -> _Observe:
    # Seldon's timers are in milliseconds, and its histograms in seconds.
    return lambda value: child.observe(value / 1000)


_LABELS = metric_labels()
# The buckets of `seldon_core.metrics.SeldonMetrics`: from 1 ms to 30 s.
_BUCKETS_S = (*(float(each) for each in np.logspace(-3, np.log10(30), 50)), float("inf"))
_FAMILIES = {"COUNTER": Counter, "GAUGE": Gauge, "TIMER": Histogram}
_OPTIONS: Dict[str, JsonObject] = {
    "GAUGE": {"multiprocess_mode": "livesum"},
    "TIMER": {"buckets": _BUCKETS_S},
}
_OBSERVERS = {"COUNTER": _counted, "GAUGE": _set, "TIMER": _timed}
