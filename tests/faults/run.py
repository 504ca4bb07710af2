"""One run: it measures the drain rate, loads a share of it, injects faults and checks."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tests.faults import answers
from tests.faults.checker import Checker, Verdict
from tests.faults.context import LOCAL, REMOTE, NotRecovered, RunContext, topics_of
from tests.faults.fault import Fault, FaultNotObserved, Injection
from tests.faults.numbers import Numbers
from tests.faults.outcome import Figures, Outcome, judge, text_of
from tests.faults.reading import read_all
from tests.faults.schedule import Round, packed, rounds

OnProgress = Callable[[str], None]

# The load is a little higher, so that the sent share is not below the requested one.
_LOAD_MARGIN = 1.06

_WARM_UP_S = 5.0
_DRAIN_S = 180.0


class Run:
    """Injects faults into a stream.

    Args:
        context: brokers, topics, replicas and load.
        faults: the faults.
        seed: seed of the schedule.
        seconds: time for injections, at least one of each fault; None injects each once, mixed
            with others.
        load_share: the load, as a share of the drain rate.
        on_progress: called with lines about the progress.
    """

    def __init__(
        self,
        context: RunContext,
        faults: Sequence[Fault],
        seed: int,
        seconds: float | None,
        load_share: float,
        on_progress: OnProgress,
    ) -> None:
        self._context = context
        self._seed = seed
        self._seconds = seconds
        self._load_share = load_share
        self._on_progress = on_progress
        self._impossible: dict[str, str] = {}
        self._possible: list[Fault] = []
        for fault in faults:
            why = fault.impossible(context)
            if why is None:
                self._possible.append(fault)
            else:
                self._impossible[fault.name] = why
        self._injections: list[Injection] = []
        self._began = 0.0

    def run(self, backlog: int) -> Outcome:
        """Runs everything.

        Args:
            backlog: number of messages for the measurement of the drain rate.
        """
        context = self._context
        drain_rate = self._measure_drain(backlog)
        context.monitor.start()
        self._began = time.monotonic()
        sent_before = context.load.sent
        context.load.start(drain_rate * self._load_share * _LOAD_MARGIN)
        replicas, batch_messages = self._warm_up()
        self._inject_all()
        context.load.stop()
        load_s = context.load.on_s
        rested_s = time.monotonic() - self._began - load_s
        sent = context.load.sent - sent_before
        context.load.flush()
        failures = [f"{each.fault}: {each.failure}" for each in self._injections if each.failure]
        failures += self._wait_for_drain()
        failures += self._end_replicas()
        self._on_progress("reading every topic from the beginning")
        verdict, seen = self._check()
        figures = Figures(
            drain_rate=drain_rate,
            load_rate=sent / load_s,
            load_s=load_s,
            rested_s=rested_s,
            partitions=len(context.positions()[1]),
            replicas=replicas,
            batch_messages=batch_messages,
            left_after_s=max(
                (took for r in context.replicas.values() for took in r.left_after), default=0.0
            ),
        )
        missing = context.load.confirmed.without(seen)
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
        """Returns the messages a second that are answered from the middle of a backlog."""
        context = self._context
        self._on_progress(f"measuring the drain rate with a backlog of {backlog:,} messages")
        answers.answers()
        context.load.burst(backlog)
        context.load.flush()
        context.start(LOCAL, REMOTE)

        def left_at_most(limit: float) -> bool:
            lag = context.lag()
            return lag is not None and lag <= limit

        context.wait_for(lambda: left_at_most(0.9 * backlog), _DRAIN_S, "a tenth is answered")
        started, first = time.monotonic(), context.lag() or 0
        context.wait_for(lambda: left_at_most(0.1 * backlog), _DRAIN_S, "nine tenths are answered")
        rate = (first - (context.lag() or 0)) / (time.monotonic() - started)
        if not rate:
            raise FaultNotObserved(
                f"a backlog of {backlog} is too small to measure the drain rate with"
            )
        context.wait_for(lambda: left_at_most(0), _DRAIN_S, "all messages are answered")
        self._on_progress(f"two replicas answer {rate:,.0f} messages a second")
        return rate

    def _warm_up(self) -> tuple[int, float]:
        """Runs the load without any fault.

        Returns:
            The number of replicas that answered messages, and the average size of a batch.
        """
        running = self._context.running()

        def so_far(name: str) -> list[float]:
            return [replica.metric(f"kafka_worker_batch_messages_{name}") for replica in running]

        messages, batches = sum(so_far("sum")), so_far("count")
        self._context.sleep(_WARM_UP_S)
        more_messages = sum(so_far("sum")) - messages
        more = [after - before for before, after in zip(batches, so_far("count"), strict=True)]
        return sum(count > 0 for count in more), more_messages / max(1.0, sum(more))

    def _inject_all(self) -> None:
        for together in self._rounds():
            self._inject(together)
            if any(each.failure for each in self._injections[-len(together) :]):
                # After a stream has stopped, further faults prove nothing.
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
        context = self._context
        context.monitor.begin()
        began = time.monotonic()
        found, recovery = self._break(together)
        took_s = time.monotonic() - began
        stall_s = context.monitor.longest_stall_s()
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
        self._on_progress(text_of(self._injections[-len(together) :]))

    def _break(self, together: Round) -> tuple[dict[str, tuple[str, str | None]], str | None]:
        """Injects faults at the same time, and waits for the stream to recover.

        Returns:
            The description and the error of each fault, by name; and why the stream did not
            recover, or None.
        """
        found: dict[str, tuple[str, str | None]] = {}

        def one(fault: Fault) -> None:
            try:
                found[fault.name] = (fault.inject(self._context), None)
            except Exception as error:
                found[fault.name] = ("", f"{type(error).__name__}: {error}")

        threads = [threading.Thread(target=one, args=(fault,)) for fault in together]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self._context.wait_for_recovery()
        except NotRecovered as error:
            return found, str(error)
        except KeyboardInterrupt:
            # Otherwise the injections would go on while the stream is taken down.
            self._on_progress("interrupted: ending the injections")
            self._context.closing.set()
            for thread in threads:
                if thread.ident is not None:
                    thread.join()
            raise
        return found, None

    def _wait_for_drain(self) -> list[str]:
        try:
            self._context.wait_for(
                lambda: self._context.lag() == 0, _DRAIN_S, "the lag is zero at the end"
            )
        except NotRecovered as error:
            return [f"{error}; it is {self._context.lag()}"]
        return []

    def _end_replicas(self) -> list[str]:
        """Stops the replicas and the monitor; returns their failures."""
        monitor = self._context.monitor
        running = self._context.running()
        absent = [
            self._context.replicas[n] for n in (LOCAL, REMOTE) if not self._context.replicas[n].runs
        ]
        for replica in running:
            replica.terminate()
        wrong = [f"replica {r.name} ended by itself" for r in absent]
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
        """Returns the verdict, and the numbers of the messages in the input topic."""
        context = self._context
        settings = context.settings
        topics: Any = context.admin.list_topics(timeout=10).topics
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
        positions = context.wait_for(context.positions_or_none, _DRAIN_S, "the offsets can be read")
        return checker.verdict(*positions), checker.seen
