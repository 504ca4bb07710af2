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
# Messages that were sent to the dead-letter topic, by reason.
DEAD_LETTERS = Counter(
    "kafka_worker_dead_letters", "Messages put on the dead-letter topic", ["worker", "reason"]
)
# Rows (images, texts, …) in calls of the user model; the rows of a stack count once it is answered.
ROWS = Counter("kafka_worker_rows", "Rows that the class was called with", ["worker"])
# Messages in a batch, also those that were rejected without a call: from 1 under light load to
# `KAFKA_BATCH_MESSAGES` under backlog.
BATCH_MESSAGES = Histogram(
    "kafka_worker_batch_messages", "Messages in a batch", ["worker"], buckets=_MESSAGES
)
# The time of each stage: decode, predict, encode, and publish (produce and commit).
STAGE_SECONDS = Histogram(
    "kafka_worker_stage_seconds",
    "Time of one batch or transaction in a stage",
    ["worker", "stage"],
    buckets=_SECONDS,
)
# The time from a message's timestamp until its reply or dead letter was committed.
LATENCY_SECONDS = Histogram(
    "kafka_worker_latency_seconds",
    "Time from a message's timestamp to the commit of its answer or dead letter",
    ["worker"],
    buckets=(*_SECONDS, 30, 60),
)
# Transactions that failed, at a rebalance or an error of brokers. Their records are answered again.
ABORTS = Counter("kafka_worker_aborts", "Transactions that were repeated", ["worker"])
# Delays of a batch because the user model raised a temporary error; a batch may be delayed often.
RETRIES = Counter("kafka_worker_retries", "Delays of batches by temporary errors", ["worker"])
# How often the worker found that a user model is not row-wise although it declares so.
SWITCHES = Counter(
    "kafka_worker_declaration_errors",
    "Declarations of row-wise classes that were found wrong",
    ["worker"],
)
# Offsets that were deleted before they were read; transaction markers count too.
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
# The lag of the worker's partitions, transaction markers included, measured each second. The lag of
# a partition that no worker reads is not measured.
LAG = Gauge(
    "kafka_worker_lag_messages",
    "Offsets of the worker's partitions that are not committed yet",
    ["worker"],
    multiprocess_mode="livesum",
)
# The latest timestamp of the messages in the last committed transaction, in seconds since 1970: lag
# in time = now - this.
LAST_TIMESTAMP = Gauge(
    "kafka_worker_last_timestamp_seconds",
    "Latest timestamp in the last committed transaction",
    ["worker"],
    multiprocess_mode="max",
)


# The metrics that the user model itself reports.
MODEL_METRICS = ModelMetrics()


def begin(worker: str) -> None:
    """Creates counters at 0 for alerts: Prometheus sees no increase from a missing series."""
    REPLIES.labels(worker)
    GAPS.labels(worker)
    SWITCHES.labels(worker)
    # Alerts fire at the first dead letter with one of these reasons.
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

    One call of `Histogram.observe` for each message would take longer than all other work between
    two batches. So this function adds the counts to the histogram's buckets directly.

    Args:
        histogram: a child of a `Histogram`, with its label values.
        sent_ms: timestamps of the messages, in milliseconds since 1970.
        now_s: current time, in seconds since 1970.
    """
    # A timestamp in the future, by a sender's clock that is ahead, counts as a latency of 0.
    seconds = np.maximum(0.0, now_s - np.asarray(sent_ms) / 1000)
    bounds = histogram._upper_bounds
    counts = np.bincount(np.searchsorted(bounds, seconds), minlength=len(bounds))
    for bucket in np.flatnonzero(counts).tolist():
        histogram._buckets[bucket].inc(float(counts[bucket]))
    histogram._sum.inc(float(seconds.sum()))
