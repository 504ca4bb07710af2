"""The metrics of the workers.

Workers write to files in the folder `PROMETHEUS_MULTIPROC_DIR`, which the supervisor sets. The
supervisor serves the metrics of all workers together.
"""

from __future__ import annotations

import time
from typing import Any, List, Sequence

import numpy as np
from prometheus_client import Counter, Gauge, Histogram

from seldon_kafka.messages import Outcome, Reply
from seldon_kafka.worker.model_metrics import ModelMetrics

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_MESSAGES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)

# Messages that were answered and committed.
REPLIES = Counter("kafka_worker_replies", "Messages answered", ["worker"])
# Messages that were put on the dead-letter topic, by the reason word.
DEAD_LETTERS = Counter(
    "kafka_worker_dead_letters", "Messages put on the dead-letter topic", ["worker", "reason"]
)
# Rows (images, texts, …) that the class was asked about.
ROWS = Counter("kafka_worker_rows", "Rows that the class was called with", ["worker"])
# Messages in one call of the pipeline: near the limit under backlog, one under light load.
BATCH_MESSAGES = Histogram(
    "kafka_worker_batch_messages", "Messages in a batch", ["worker"], buckets=_MESSAGES
)
# Where time goes: decode, predict, encode, and publish (produce and commit).
STAGE_SECONDS = Histogram(
    "kafka_worker_stage_seconds",
    "Time of one batch or transaction in a stage",
    ["worker", "stage"],
    buckets=_SECONDS,
)
# From when a message was sent, by its timestamp, until what answers it was committed.
LATENCY_SECONDS = Histogram(
    "kafka_worker_latency_seconds",
    "Time from a message's timestamp to the commit of its answer or dead letter",
    ["worker"],
    buckets=(*_SECONDS, 30, 60),
)
# Transactions that had to be done again; a few at each rebalance, none otherwise.
ABORTS = Counter("kafka_worker_aborts", "Transactions that were repeated", ["worker"])
# Batches that were put off because the class met a temporary error.
RETRIES = Counter("kafka_worker_retries", "Batches delayed by temporary errors", ["worker"])
# Classes that declare themselves row-wise and are not.
SWITCHES = Counter(
    "kafka_worker_declaration_errors",
    "Declarations of row-wise classes that were found wrong",
    ["worker"],
)
# Messages that retention deleted before they were read.
GAPS = Counter("kafka_worker_gap_messages", "Messages deleted before they were read", ["worker"])
# Messages that another deployment answers (KAFKA_SHARE).
PASSED = Counter(
    "kafka_worker_passed_messages",
    "Messages that another deployment answers",
    ["worker"],
)
# Partitions that the worker reads.
PARTITIONS = Gauge(
    "kafka_worker_partitions",
    "Partitions that the worker reads",
    ["worker"],
    multiprocess_mode="livesum",
)
# What those partitions hold beyond what is committed, transaction markers among it, each second.
# Only what somebody reads has such a number: without workers there is none.
LAG = Gauge(
    "kafka_worker_lag_messages",
    "Offsets of the worker's partitions that are not committed yet",
    ["worker"],
    multiprocess_mode="livesum",
)
# When the youngest published reply's record was sent: lag in time = now - this.
LAST_TIMESTAMP = Gauge(
    "kafka_worker_last_timestamp_seconds",
    "Timestamp of the latest answered message",
    ["worker"],
    multiprocess_mode="max",
)


# What the class itself reports.
MODEL_METRICS = ModelMetrics()


def begin(worker: str) -> None:
    """Initialises counters to 0: Prometheus sees no increase from a missing series."""
    REPLIES.labels(worker)
    GAPS.labels(worker)
    SWITCHES.labels(worker)
    # Alerts fire at the first of these.
    for reason in ("predict_failed", "worker_crash"):
        DEAD_LETTERS.labels(worker, reason)


def count_committed(worker: str, outcomes: Sequence[Outcome]) -> None:
    """Counts committed outcomes, and the metrics that the user model reported with them."""
    for outcome in outcomes:
        if isinstance(outcome, Reply) and outcome.metrics:
            MODEL_METRICS.count(worker, outcome.metrics)
    rejections = [outcome for outcome in outcomes if not isinstance(outcome, Reply)]
    for rejection in rejections:
        DEAD_LETTERS.labels(worker, rejection.reason).inc()
    REPLIES.labels(worker).inc(len(outcomes) - len(rejections))
    sent_ms = [each.record.timestamp_ms for each in outcomes if each.record.timestamp_ms >= 0]
    if sent_ms:
        LAST_TIMESTAMP.labels(worker).set(max(sent_ms) / 1000)
        _observe_all(LATENCY_SECONDS.labels(worker), sent_ms, time.time())


def _observe_all(histogram: Any, sent_ms: List[int], now_s: float) -> None:
    """Observes many latencies at once.

    `Histogram.observe` takes longer for a message than all other work between batches. So this
    function adds the counts to the histogram's buckets directly.
    """
    # Clocks differ: a timestamp in the future counts as no latency.
    seconds = np.maximum(0.0, now_s - np.asarray(sent_ms) / 1000)
    bounds = histogram._upper_bounds
    found = np.bincount(np.searchsorted(bounds, seconds), minlength=len(bounds))
    for bucket in np.flatnonzero(found).tolist():
        histogram._buckets[bucket].inc(float(found[bucket]))
    histogram._sum.inc(float(seconds.sum()))
