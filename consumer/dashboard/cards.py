"""Derives the state of one instance from its latest snapshots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from consumer.dashboard import scrape
from consumer.dashboard.fleet import Instance
from consumer.dashboard.scrape import Samples

STARTING, READY, WORKING = "starting", "ready", "working"
STUCK, LEAVING, GONE = "stuck", "leaving", "gone"

_SILENT_S = 4.0
_RATE_S = 5.0
_STAGES = ("decode", "predict", "encode", "publish")
_STOPPED = ("stalled", "halted", "gap")


@dataclass(frozen=True)
class Snapshot:
    """Status and metrics of an instance at one time.

    Attributes:
        at_s: time of the snapshot, in seconds of `time.monotonic`.
        status: parsed content of `/status`; None without a valid answer.
        samples: parsed content of `/metrics`; None if either path had no valid answer.
    """

    at_s: float
    status: Mapping[str, Any] | None
    samples: Samples | None


@dataclass(frozen=True)
class Card:
    """The state of one instance, for the page.

    The mean values are from the last five seconds. If these seconds had no batch, they are from the
    whole time since the start.

    Attributes:
        instance: the instance, as the backend describes it.
        state: `starting`, `ready`, `working`, `stuck`, `leaving` or `gone`.
        why: reason for the state; empty if there is none.
        partitions: numbers of the assigned partitions.
        messages: number of replies and dead letters since the start.
        rate: number of replies and dead letters per second, in the last five seconds.
        batch: mean number of messages in a batch; None before the first batch.
        stages: mean time of a batch in each stage, in milliseconds.
        memory_bytes: memory of the worker processes, in bytes. If they do not report it, the memory
            of the instance according to the backend; None if that is unknown too.
        restarts: number of restarts of the worker processes.
        class_name: name of the user model's class; empty if unknown.
    """

    instance: Instance
    state: str
    why: str = ""
    partitions: tuple[int, ...] = ()
    messages: int = 0
    rate: float = 0.0
    batch: float | None = None
    stages: Mapping[str, float] = field(default_factory=dict)
    memory_bytes: int | None = None
    restarts: int = 0
    class_name: str = ""


def gone_card(instance: Instance) -> Card:
    """Returns the card of an instance that has ended."""
    return Card(instance, GONE, instance.why)


def card_of(instance: Instance, snapshots: Sequence[Snapshot]) -> Card:
    """Returns the card of a running instance.

    Args:
        instance: the instance, as the backend describes it.
        snapshots: its latest snapshots, in order; at least one.
    """
    status = snapshots[-1].status
    state, why = _state(instance, snapshots)
    answered = [snapshot for snapshot in snapshots if snapshot.samples is not None]
    if not answered:
        return Card(instance, state, why, memory_bytes=instance.memory_bytes)
    last = answered[-1]
    assert last.samples is not None
    recent = [snapshot for snapshot in answered if last.at_s - snapshot.at_s <= _RATE_S]
    assert recent[0].samples is not None
    counted = scrape.since(recent[0].samples, last.samples)
    seconds = last.at_s - recent[0].at_s
    rate = scrape.messages(counted) / seconds if seconds else 0.0
    if state == READY and rate > 0:
        state = WORKING
    workers = _workers(status)
    memory = [each["memory_bytes"] for each in workers if each.get("memory_bytes")]
    return Card(
        instance,
        state,
        why,
        partitions=tuple(sorted(part for each in workers for part in each["partitions"])),
        messages=int(scrape.messages(last.samples)),
        rate=rate,
        batch=_batch(counted) or _batch(last.samples),
        stages=_stages(counted) or _stages(last.samples),
        memory_bytes=sum(memory) if memory else instance.memory_bytes,
        restarts=sum(each["restarts"] for each in workers),
        class_name="" if status is None else str(status.get("class", "")),
    )


def _state(instance: Instance, snapshots: Sequence[Snapshot]) -> tuple[str, str]:
    if instance.leaving:
        return LEAVING, "it finishes its batch and leaves"
    status = snapshots[-1].status
    if status is None:
        with_status = [snapshot for snapshot in snapshots if snapshot.status is not None]
        if not with_status:
            return STARTING, instance.why
        silent_s = snapshots[-1].at_s - with_status[-1].at_s
        if silent_s >= _SILENT_S:
            return STUCK, f"it has not answered for {silent_s:.0f} s"
        return (READY if instance.ready else STARTING), instance.why
    if status.get("halted"):
        return STUCK, f"consumption stopped: {status['halted']}"
    for worker in _workers(status):
        if worker["state"] in _STOPPED:
            return STUCK, f"{worker['state']}: {worker['detail']}"
    return (READY if instance.ready else STARTING), instance.why


def _workers(status: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    return [] if status is None else list(status.get("workers", []))


def _batch(samples: Samples) -> float | None:
    count = scrape.total(samples, "kafka_worker_batch_messages_count")
    return scrape.total(samples, "kafka_worker_batch_messages_sum") / count if count else None


def _stages(samples: Samples) -> dict[str, float]:
    """Returns the mean time of a batch in ms, by stage; empty if there was no batch."""
    sums = scrape.by_label(samples, "kafka_worker_stage_seconds_sum", "stage")
    counts = scrape.by_label(samples, "kafka_worker_stage_seconds_count", "stage")
    return {stage: 1000 * sums[stage] / counts[stage] for stage in _STAGES if counts.get(stage)}
