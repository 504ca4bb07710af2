"""How one worker does, from the latest looks at it."""

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
class Look:
    """What one look at an instance found.

    Attributes:
        at_s: When, by `time.monotonic`.
        status: Its `/status`; None if it did not answer.
        samples: Its `/metrics`; None likewise.
    """

    at_s: float
    status: Mapping[str, Any] | None
    samples: Samples | None


@dataclass(frozen=True)
class Card:
    """One worker for the page.

    Attributes:
        instance: As its platform knows it.
        state: `starting`, `ready`, `working`, `stuck`, `leaving` or `gone`.
        why: What is the matter, if something is.
        partitions: Those that it reads.
        messages: Answered since it started, dead letters counted in.
        rate: Messages a second lately.
        batch: Messages in a batch lately, or since it started; None before the first.
        stages: Mean milliseconds of a batch in each stage, lately or since it started.
        memory_bytes: Resident in its worker processes, if known.
        restarts: How often a worker process below it was started again.
        class_name: The wrapper class that it serves, if known.
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
    """The card of an instance that has ended."""
    return Card(instance, GONE, instance.why)


def card_of(instance: Instance, looks: Sequence[Look]) -> Card:
    """The card of an instance that runs.

    Args:
        instance: As its platform knows it.
        looks: At least one, the latest last.
    """
    status = looks[-1].status
    state, why = _state(instance, looks)
    answered = [look for look in looks if look.samples is not None]
    if not answered:
        return Card(instance, state, why, memory_bytes=instance.memory_bytes)
    last = answered[-1]
    assert last.samples is not None
    lately = [look for look in answered if last.at_s - look.at_s <= _RATE_S]
    assert lately[0].samples is not None
    counted = scrape.since(lately[0].samples, last.samples)
    seconds = last.at_s - lately[0].at_s
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


def _state(instance: Instance, looks: Sequence[Look]) -> tuple[str, str]:
    if instance.leaving:
        return LEAVING, "finishing what it has in hand"
    status = looks[-1].status
    if status is None:
        heard = [look for look in looks if look.status is not None]
        if not heard:
            return STARTING, instance.why
        silent_s = looks[-1].at_s - heard[-1].at_s
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
    """Mean milliseconds by stage; empty if nothing was done."""
    sums = scrape.by_label(samples, "kafka_worker_stage_seconds_sum", "stage")
    counts = scrape.by_label(samples, "kafka_worker_stage_seconds_count", "stage")
    return {stage: 1000 * sums[stage] / counts[stage] for stage in _STAGES if counts.get(stage)}
