"""What a run found, and whether that makes it a failure."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import orjson

from tests.faults.checker import Verdict
from tests.faults.fault import Fault, Injection
from tests.faults.soak import Soak

_SHOWN = 20


@dataclasses.dataclass(frozen=True)
class Figures:
    """What was measured of the stream itself.

    Attributes:
        drain_rate: messages a second that the replicas answer out of a backlog.
        load_rate: messages a second that were sent on average, faults included.
        load_s: for how long.
        rested_s: for how long besides it rested, so that a backlog goes.
        partitions: of the input topic, in the end.
        replicas: how many answered any of the load before the first fault.
        batch_messages: messages in a batch on average, under the load before the first fault.
        left_after_s: the longest from SIGTERM to the exit of a replica.
    """

    drain_rate: float
    load_rate: float
    load_s: float
    rested_s: float
    partitions: int
    replicas: int
    batch_messages: float
    left_after_s: float


@dataclasses.dataclass(frozen=True)
class Outcome:
    """All that a run found.

    Attributes:
        seed: of its schedule.
        injections: in order.
        impossible: faults that could not be injected here, and why.
        figures: of the stream.
        verdict: of the checker.
        missing: messages that the brokers confirmed and that the input topic does not have.
        failures: everything that makes the run a failure, in words.
    """

    seed: int
    injections: Sequence[Injection]
    impossible: dict[str, str]
    figures: Figures
    verdict: Verdict
    missing: int
    failures: Sequence[str]


def judge(
    figures: Figures,
    verdict: Verdict,
    missing: Sequence[int],
    faults: Sequence[Fault],
    injections: Sequence[Injection],
    load_share: float = 0.5,
) -> list[str]:
    """Why a run is a failure, beside what went wrong with its injections; nothing if it is none.

    How long a fault held readers up is no reason: machines are shared, and the report says it.

    Args:
        figures: what was measured.
        verdict: of the checker.
        missing: numbers of messages that were confirmed, and that the input topic does not have.
        faults: all that could be injected.
        injections: what was injected.
        load_share: the least that the load had to be, as a part of the drain rate.
    """
    failures = list(verdict.problems)
    if missing:
        first = ", ".join(map(str, missing[:_SHOWN]))
        failures.append(f"{len(missing)} confirmed messages are not in the input topic: {first}")
    if figures.replicas < 2:
        failures.append(f"{figures.replicas} replicas answered the load, two were to")
    if figures.load_rate < load_share * figures.drain_rate:
        failures.append(
            f"the load was {figures.load_rate:,.0f} messages a second, "
            f"less than {load_share:.0%} of the drain rate of {figures.drain_rate:,.0f}"
        )
    if figures.partitions < 4:
        failures.append(f"{figures.partitions} partitions are less than four")
    if figures.batch_messages <= 1:
        failures.append("batches held no more than one message")
    injected = {each.fault for each in injections if each.failure is None}
    failures += [f"never injected: {fault.name}" for fault in faults if fault.name not in injected]
    return failures


def text_of(together: Sequence[Injection]) -> str:
    """A round in words: when, how long, and a line for each of its faults."""
    first = together[0]
    head = (
        f"{first.at_s:6.0f} s  longest stall {first.stall_s:.1f} s, "
        f"recovered after {first.took_s:.1f} s"
    )
    lines = [
        f"          {each.fault}: {f'FAILED: {each.failure}' if each.failure else each.seen}"
        for each in together
    ]
    return "\n".join([head, *lines])


def document(outcome: Outcome | Soak) -> bytes:
    """What was found as JSON."""
    return orjson.dumps(dataclasses.asdict(outcome), option=orjson.OPT_INDENT_2)
