"""The outcome of a run, and the reasons for which it fails."""

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
    """Figures of the stream.

    Attributes:
        drain_rate: messages a second that the replicas answer from a backlog.
        load_rate: average of sent messages a second, during faults too.
        load_s: duration of the load in seconds.
        rested_s: further seconds in which the load paused for a backlog to drain.
        partitions: number of partitions of the input topic at the end.
        replicas: number of replicas that answered messages of the load before the first fault.
        batch_messages: average number of messages in a batch before the first fault.
        left_after_s: longest time from SIGTERM to the exit of a replica, in seconds.
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
    """The results of a run.

    Attributes:
        seed: seed of the schedule.
        injections: the injections, in order.
        impossible: reasons by name of the faults that cannot be injected here.
        figures: figures of the stream.
        verdict: verdict of the checker.
        missing: number of messages that the brokers confirmed and the input topic lacks.
        failures: descriptions of all failures.
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
    """Returns why a run failed, without the failures of its injections; nothing on success.

    The length of a stall is no failure, because machines are shared; the report shows it.

    Args:
        figures: figures of the stream.
        verdict: verdict of the checker.
        missing: numbers of confirmed messages that the input topic lacks.
        faults: all possible faults.
        injections: the injections.
        load_share: minimum of the load, as a share of the drain rate.
    """
    failures = list(verdict.problems)
    if missing:
        first = ", ".join(map(str, missing[:_SHOWN]))
        failures.append(f"{len(missing)} confirmed messages are not in the input topic: {first}")
    if figures.replicas < 2:
        failures.append(f"{figures.replicas} replicas answered the load, two were expected")
    if figures.load_rate < load_share * figures.drain_rate:
        failures.append(
            f"the load was {figures.load_rate:,.0f} messages a second, "
            f"less than {load_share:.0%} of the drain rate of {figures.drain_rate:,.0f}"
        )
    if figures.partitions < 4:
        failures.append(f"{figures.partitions} partitions are fewer than four")
    if figures.batch_messages <= 1:
        failures.append("batches had no more than one message")
    injected = {each.fault for each in injections if each.failure is None}
    failures += [f"never injected: {fault.name}" for fault in faults if fault.name not in injected]
    return failures


def text_of(together: Sequence[Injection]) -> str:
    """Returns a description of a round, with a line for each of its faults."""
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
    """Returns an outcome as JSON."""
    return orjson.dumps(dataclasses.asdict(outcome), option=orjson.OPT_INDENT_2)
