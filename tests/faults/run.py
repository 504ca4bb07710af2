"""One run: measures the drain rate, loads half of it, breaks things on schedule, and checks."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import orjson

from tests.faults import images
from tests.faults.checker import Checker, Verdict
from tests.faults.fault import Fault, Injection, NotSeen
from tests.faults.reading import read_all
from tests.faults.scene import LOCAL, REMOTE, NotRecovered, Scene, topics_of, wait_for
from tests.faults.schedule import Round, packed, rounds
from tests.faults.soak import Soak

Say = Callable[[str], None]

# A little more than half, so that the share that was sent in the end is not below it.
LOAD_SHARE = 0.55

_WARM_UP_S = 5.0
_DRAIN_S = 180.0


@dataclasses.dataclass(frozen=True)
class Figures:
    """What was measured of the stream itself.

    Attributes:
        drain_rate: messages a second that the replicas answer out of a backlog.
        load_rate: messages a second that were sent on average, faults included.
        load_s: for how long.
        partitions: of the input topic, in the end.
        replicas: how many answer the load.
        batch_messages: messages in a batch on average, under the load before the first fault.
        left_after_s: the longest from SIGTERM to the exit of a replica.
    """

    drain_rate: float
    load_rate: float
    load_s: float
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


class Run:
    """Runs faults against a scene.

    Args:
        scene: where.
        faults: which.
        seed: of the schedule.
        seconds: for how long faults are injected, at least each once; None injects each once,
            together with others.
        say: told what happens, a line each.
    """

    def __init__(
        self, scene: Scene, faults: Sequence[Fault], seed: int, seconds: float | None, say: Say
    ) -> None:
        self._scene = scene
        self._seed = seed
        self._seconds = seconds
        self._say = say
        self._impossible: dict[str, str] = {}
        self._possible: list[Fault] = []
        for fault in faults:
            why = fault.impossible(scene)
            if why is None:
                self._possible.append(fault)
            else:
                self._impossible[fault.name] = why
        self._injections: list[Injection] = []
        self._began = 0.0

    def run(self, backlog: int) -> Outcome:
        """Runs it all.

        Args:
            backlog: messages to measure the drain rate with.
        """
        scene = self._scene
        drain_rate = self._measure_drain(backlog)
        scene.monitor.start()
        self._began = time.monotonic()
        sent_before = scene.load.sent
        scene.load.start(drain_rate * LOAD_SHARE)
        batch_messages = self._batch_messages()
        self._inject_all()
        scene.load.stop()
        load_s = time.monotonic() - self._began
        sent = scene.load.sent - sent_before
        scene.load.flush()
        failures = [f"{each.fault}: {each.failure}" for each in self._injections if each.failure]
        failures += self._drained()
        left = self._end_replicas()
        self._say("reading every topic from the beginning")
        verdict = self._check()
        figures = Figures(
            drain_rate=drain_rate,
            load_rate=sent / load_s,
            load_s=load_s,
            partitions=len(scene.positions()[1]),
            replicas=2,
            batch_messages=batch_messages,
            left_after_s=max(left),
        )
        missing = max(0, scene.load.acknowledged - scene.load.withdrawn - verdict.messages)
        return Outcome(
            self._seed,
            self._injections,
            self._impossible,
            figures,
            verdict,
            missing,
            [*failures, *judge(figures, verdict, missing, self._possible, self._injections)],
        )

    def _measure_drain(self, backlog: int) -> float:
        """Messages a second out of a backlog, from the first answer to the last but a few."""
        scene = self._scene
        self._say(f"measuring the drain rate with a backlog of {backlog:,} messages")
        images.answers()
        scene.load.burst(backlog)
        scene.load.flush()
        scene.start(LOCAL, REMOTE)

        def left_at_most(most: float) -> bool:
            lag = scene.lag()
            return lag is not None and lag <= most

        wait_for(lambda: left_at_most(0.9 * backlog), _DRAIN_S, "a tenth is answered")
        started, first = time.monotonic(), scene.lag() or 0
        wait_for(lambda: left_at_most(0.1 * backlog), _DRAIN_S, "all but a tenth is answered")
        rate = (first - (scene.lag() or 0)) / (time.monotonic() - started)
        if not rate:
            raise NotSeen(f"a backlog of {backlog} is too small to measure the drain rate with")
        wait_for(lambda: left_at_most(0), _DRAIN_S, "all is answered")
        self._say(f"two replicas answer {rate:,.0f} messages a second")
        return rate

    def _batch_messages(self) -> float:
        """Messages in a batch on average, under the load and without any fault."""

        def so_far() -> tuple[float, float]:
            running = self._scene.running()
            return (
                sum(r.metric("kafka_worker_batch_messages_sum") for r in running),
                sum(r.metric("kafka_worker_batch_messages_count") for r in running),
            )

        before = so_far()
        time.sleep(_WARM_UP_S)
        after = so_far()
        return (after[0] - before[0]) / max(1.0, after[1] - before[1])

    def _inject_all(self) -> None:
        for together in self._rounds():
            self._inject(together)
            if any(each.failure for each in self._injections[-len(together) :]):
                # What comes after a stream that has stopped says nothing.
                return

    def _rounds(self) -> Iterator[Round]:
        if self._seconds is None:
            yield from packed(self._possible, self._seed)
            return
        end_at = self._began + self._seconds
        for number, together in enumerate(rounds(self._possible, self._seed)):
            if number >= len(self._possible) and time.monotonic() > end_at:
                return
            yield together

    def _inject(self, together: Round) -> None:
        scene = self._scene
        scene.monitor.begin()
        began = time.monotonic()
        found: dict[str, tuple[str, str | None]] = {}

        def one(fault: Fault) -> None:
            try:
                found[fault.name] = (fault.inject(scene), None)
            except Exception as error:
                found[fault.name] = ("", f"{type(error).__name__}: {error}")

        threads = [threading.Thread(target=one, args=(fault,)) for fault in together]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        recovery: str | None = None
        try:
            scene.recovered()
        except NotRecovered as error:
            recovery = str(error)
        took_s = time.monotonic() - began
        stall_s = scene.monitor.longest_stall_s()
        for fault in together:
            seen, failure = found[fault.name]
            injection = Injection(
                fault.name,
                began - self._began,
                took_s,
                stall_s,
                seen,
                ", ".join(other.name for other in together if other is not fault) or None,
                failure or recovery,
            )
            self._injections.append(injection)
        self._say(text_of(self._injections[-len(together) :]))

    def _drained(self) -> list[str]:
        try:
            wait_for(lambda: self._scene.lag() == 0, _DRAIN_S, "the lag is zero at the end")
        except NotRecovered as error:
            return [f"{error}; it is {self._scene.lag()}"]
        return []

    def _end_replicas(self) -> list[float]:
        running = self._scene.running()
        for replica in running:
            replica.terminate()
        for replica in running:
            replica.wait()
        self._scene.monitor.stop()
        return [took for replica in self._scene.fleet.values() for took in replica.left_after]

    def _check(self) -> Verdict:
        scene = self._scene
        settings = scene.settings
        topics: Any = scene.admin.list_topics(timeout=10).topics
        sizes = {name: len(topics[name].partitions) for name in topics_of(settings)}
        checker = Checker(
            images.is_answer, sizes[settings.output_topic], sizes[settings.dead_letter_topic]
        )
        read_all(settings, settings.input_topic, checker.sent)
        read_all(settings, settings.output_topic, checker.reply)
        read_all(settings, settings.dead_letter_topic, checker.letter)
        return checker.verdict(*scene.positions())


def judge(
    figures: Figures,
    verdict: Verdict,
    missing: int,
    faults: Sequence[Fault],
    injections: Sequence[Injection],
) -> list[str]:
    """Why a run is a failure, beside what went wrong with its injections; nothing if it is none."""
    failures = list(verdict.problems)
    if missing:
        failures.append(f"{missing} confirmed messages are not in the input topic")
    if figures.load_rate < figures.drain_rate / 2:
        failures.append(
            f"the load was {figures.load_rate:,.0f} messages a second, "
            f"less than half of the drain rate of {figures.drain_rate:,.0f}"
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
