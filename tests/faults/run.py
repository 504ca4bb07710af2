"""One run: measures the drain rate, loads a share of it, breaks things on schedule, and checks."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tests.faults import answers
from tests.faults.checker import Checker, Verdict
from tests.faults.fault import Fault, Injection, NotSeen
from tests.faults.numbers import Numbers
from tests.faults.outcome import Figures, Outcome, judge, text_of
from tests.faults.reading import read_all
from tests.faults.scene import LOCAL, REMOTE, NotRecovered, Scene, topics_of
from tests.faults.schedule import Round, packed, rounds

Say = Callable[[str], None]

# A little more than asked for, so that the share that was sent in the end is not below it.
_LOAD_MARGIN = 1.06

_WARM_UP_S = 5.0
_DRAIN_S = 180.0


class Run:
    """Runs faults against a scene.

    Args:
        scene: where.
        faults: which.
        seed: of the schedule.
        seconds: for how long faults are injected, at least each once; None injects each once,
            together with others.
        load_share: the load, as a part of the drain rate.
        say: told what happens, a line each.
    """

    def __init__(
        self,
        scene: Scene,
        faults: Sequence[Fault],
        seed: int,
        seconds: float | None,
        load_share: float,
        say: Say,
    ) -> None:
        self._scene = scene
        self._seed = seed
        self._seconds = seconds
        self._load_share = load_share
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
        scene.load.start(drain_rate * self._load_share * _LOAD_MARGIN)
        replicas, batch_messages = self._warm_up()
        self._inject_all()
        scene.load.stop()
        load_s = scene.load.on_s
        rested_s = time.monotonic() - self._began - load_s
        sent = scene.load.sent - sent_before
        scene.load.flush()
        failures = [f"{each.fault}: {each.failure}" for each in self._injections if each.failure]
        failures += self._drained()
        failures += self._end_replicas()
        self._say("reading every topic from the beginning")
        verdict, seen = self._check()
        figures = Figures(
            drain_rate=drain_rate,
            load_rate=sent / load_s,
            load_s=load_s,
            rested_s=rested_s,
            partitions=len(scene.positions()[1]),
            replicas=replicas,
            batch_messages=batch_messages,
            left_after_s=max(
                (took for r in scene.fleet.values() for took in r.left_after), default=0.0
            ),
        )
        missing = scene.load.confirmed.without(seen)
        judged = judge(
            figures, verdict, missing, self._possible, self._injections, self._load_share
        )
        return Outcome(
            self._seed,
            self._injections,
            self._impossible,
            figures,
            verdict,
            len(missing),
            [*failures, *judged],
        )

    def _measure_drain(self, backlog: int) -> float:
        """Messages a second out of a backlog, from the first answer to the last but a few."""
        scene = self._scene
        self._say(f"measuring the drain rate with a backlog of {backlog:,} messages")
        answers.answers()
        scene.load.burst(backlog)
        scene.load.flush()
        scene.start(LOCAL, REMOTE)

        def left_at_most(most: float) -> bool:
            lag = scene.lag()
            return lag is not None and lag <= most

        scene.wait_for(lambda: left_at_most(0.9 * backlog), _DRAIN_S, "a tenth is answered")
        started, first = time.monotonic(), scene.lag() or 0
        scene.wait_for(lambda: left_at_most(0.1 * backlog), _DRAIN_S, "all but a tenth is answered")
        rate = (first - (scene.lag() or 0)) / (time.monotonic() - started)
        if not rate:
            raise NotSeen(f"a backlog of {backlog} is too small to measure the drain rate with")
        scene.wait_for(lambda: left_at_most(0), _DRAIN_S, "all is answered")
        self._say(f"two replicas answer {rate:,.0f} messages a second")
        return rate

    def _warm_up(self) -> tuple[int, float]:
        """Lets the load run without any fault.

        Returns:
            How many replicas answered any of it, and the messages in a batch on average.
        """
        running = self._scene.running()

        def so_far(name: str) -> list[float]:
            return [replica.metric(f"kafka_worker_batch_messages_{name}") for replica in running]

        messages, batches = sum(so_far("sum")), so_far("count")
        self._scene.sleep(_WARM_UP_S)
        more_messages = sum(so_far("sum")) - messages
        more = [after - before for before, after in zip(batches, so_far("count"), strict=True)]
        return sum(count > 0 for count in more), more_messages / max(1.0, sum(more))

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
        found, recovery = self._break(together)
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

    def _break(self, together: Round) -> tuple[dict[str, tuple[str, str | None]], str | None]:
        """Injects faults at the same time, and waits for the stream to recover.

        Returns:
            What each fault says of itself and what went wrong with it, by its name; and why the
            stream did not recover, if it did not.
        """
        found: dict[str, tuple[str, str | None]] = {}

        def one(fault: Fault) -> None:
            try:
                found[fault.name] = (fault.inject(self._scene), None)
            except Exception as error:
                found[fault.name] = ("", f"{type(error).__name__}: {error}")

        threads = [threading.Thread(target=one, args=(fault,)) for fault in together]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self._scene.recovered()
        except NotRecovered as error:
            return found, str(error)
        except KeyboardInterrupt:
            # What they have under way would otherwise go on amid what is being taken away.
            self._say("interrupted: ending what is under way")
            self._scene.closing.set()
            for thread in threads:
                if thread.ident is not None:
                    thread.join()
            raise
        return found, None

    def _drained(self) -> list[str]:
        try:
            self._scene.wait_for(
                lambda: self._scene.lag() == 0, _DRAIN_S, "the lag is zero at the end"
            )
        except NotRecovered as error:
            return [f"{error}; it is {self._scene.lag()}"]
        return []

    def _end_replicas(self) -> list[str]:
        """Ends what answers and what watches; returns what was wrong with them."""
        monitor = self._scene.monitor
        running = self._scene.running()
        absent = [self._scene.fleet[n] for n in (LOCAL, REMOTE) if not self._scene.fleet[n].runs]
        for replica in running:
            replica.terminate()
        wrong = [f"replica {r.name} has ended by itself" for r in absent]
        for replica in running:
            try:
                status = replica.wait()
            except subprocess.TimeoutExpired as error:
                wrong.append(f"replica {replica.name} did not leave within {error.timeout:.0f} s")
                continue
            if status:
                wrong.append(f"replica {replica.name} left with exit status {status}")
        wrong += monitor.problems()
        monitor.stop()
        return wrong

    def _check(self) -> tuple[Verdict, Numbers]:
        """The verdict, and the numbers of the messages in the input topic."""
        scene = self._scene
        settings = scene.settings
        topics: Any = scene.admin.list_topics(timeout=10).topics
        sizes = {name: len(topics[name].partitions) for name in topics_of(settings)}
        checker = Checker(
            answers.Comparison().is_answer,
            sizes[settings.output_topic],
            sizes[settings.dead_letter_topic],
        )
        read_all(settings, settings.input_topic, checker.sent)
        read_all(settings, settings.output_topic, checker.reply)
        read_all(settings, settings.dead_letter_topic, checker.letter)
        # Right after a broker's death the coordinator may still be moving.
        positions = scene.wait_for(scene.positions_if_told, _DRAIN_S, "the offsets can be read")
        return checker.verdict(*positions), checker.seen
