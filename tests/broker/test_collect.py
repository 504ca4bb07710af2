"""`python -m consumer --parquet` on a real broker: start, end, stop and resume."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import NewPartitions

from consumer.reader import Reader
from producer.runs import group_of
from seldon_kafka.config.clients import consumer_config
from tests.support.patience import patient
from tests.support.stream import Stream, wait_until

NewStream = Callable[..., Stream]

REPLY = json.dumps({"data": {"names": ["o", "ki"], "ndarray": [[0.75, 0.25]]}}).encode()
ENDED_S = 60


class Run:
    """A run with ten objects, whose replies the test writes instead of a worker."""

    def __init__(self, stream: Stream, name: str, folder: Path) -> None:
        self.stream = stream
        self.name = name
        self.objects = folder / "scans"
        self.results = folder / "results"
        self.names = [f"{number}.png" for number in range(10)]
        self.objects.mkdir()
        for each in self.names:
            (self.objects / each).touch()

    def answer(
        self,
        names: Iterable[str],
        run: str | None = None,
        timestamp: int = 0,
        partition: int = -1,
        topic: str | None = None,
    ) -> None:
        # A new producer, because the old one does not know added partitions yet.
        producer = Producer(self.stream.client({"log_level": 2}))
        for each in names:
            headers: list[tuple[str, str | bytes | None]] = [
                ("run", (run or self.name).encode()),
                ("object", each.encode()),
            ]
            producer.produce(
                topic or self.stream.settings.output_topic,
                REPLY,
                each,
                partition,
                headers=headers,
                timestamp=timestamp,
            )
        assert producer.flush(30) == 0

    def collect(self, *more: str, **environ: str) -> subprocess.Popen[bytes]:
        """Starts a collector, which reads from the first reply on."""
        command = ["consumer", f"--parquet={self.results}", f"--run={self.name}"]
        return self.stream.start(*command, f"--of={self.objects}", *more, **environ)

    def kill_after(self, rows: int) -> None:
        """Kills a collector after this number of rows; its group membership stays."""
        process = self.collect(f"--part-rows={rows}")
        wait_until(lambda: len(self.written()) == rows, ENDED_S, "the first part")
        process.kill()
        process.wait()

    def said(self, process: subprocess.Popen[bytes]) -> str:
        number = self.stream.processes.index(process)
        return (self.stream.folder / f"{number}.log").read_text()

    def end(self, process: subprocess.Popen[bytes]) -> tuple[int, str]:
        """Returns the exit status and the output."""
        return process.wait(patient(ENDED_S)), self.said(process)

    def written(self) -> Counter[str]:
        """Returns the number of rows of each object."""
        if not any(self.results.rglob("*.parquet")):  # the folder exists before its first part
            return Counter()
        return Counter(pq.read_table(self.results).column("object").to_pylist())


@pytest.fixture
def run(new_stream: NewStream, name: str, tmp_path: Path) -> Run:
    return Run(new_stream(partitions=2), name, tmp_path)


def test_earlier_replies_are_collected_with_each_object_once(run: Run) -> None:
    run.answer(run.names)
    run.answer(run.names[:3])
    run.answer(run.names, run="another-run")
    status, said = run.end(run.collect())
    assert status == 0, said
    assert "10 of 10 objects have a row" in said
    assert run.written() == Counter(run.names)
    status, said = run.end(run.collect())
    assert (status, "10 of 10 objects have a row" in said, "0 rows are new" in said) == (0, 1, 1)
    assert run.written() == Counter(run.names)


def test_a_terminated_collector_writes_its_rows_and_the_next_one_resumes(run: Run) -> None:
    for asked in (signal.SIGINT, signal.SIGTERM):
        first = len(run.written())
        run.answer(run.names[first : first + 3])
        process = run.collect("--part-rows=3")
        wait_until(lambda: len(run.written()) > first, ENDED_S, run.said(process))  # noqa: B023
        run.answer(run.names[first + 3 : first + 4])
        # The fourth reply is in flight or read again later, so its row may be missing.
        process.send_signal(asked)
        status, said = run.end(process)
        assert status == 130, said
        assert "Traceback" not in said
        assert "missing: " in said
        assert max(run.written().values()) == 1
    run.answer(run.names)
    status, said = run.end(run.collect())
    assert status == 0, said
    assert run.written() == Counter(run.names)


@pytest.mark.full
def test_the_error_after_the_timeout_says_what_is_missing_and_what_to_do(run: Run) -> None:
    run.answer(run.names[:2])
    status, said = run.end(run.collect("--timeout=5"))
    assert status == 1
    assert "8 missing: 2.png, 3.png, 4.png, 5.png, 6.png, …" in said
    assert f"python -m producer {run.objects} --run {run.name} --results {run.results}" in said
    assert run.written() == Counter(run.names[:2])


@pytest.mark.full
def test_replies_before_the_given_time_are_not_read(run: Run) -> None:
    now_ms = int(1000 * time.time())
    run.answer(run.names[:5], timestamp=now_ms - 7_200_000)
    run.answer(run.names[5:], timestamp=now_ms - 3_500_000)
    status, said = run.end(run.collect("--since=1h", "--timeout=5"))
    assert status == 1, said
    assert run.written() == Counter(run.names[5:])


@pytest.mark.full
def test_a_committed_offset_precedes_the_given_time(run: Run) -> None:
    run.answer(run.names[:2], partition=0)
    assert run.end(run.collect("--timeout=5"))[0] == 1
    # This reply is older, but it follows the committed offset.
    run.answer(run.names[2:], partition=0, timestamp=1_700_000_000_000)
    status, said = run.end(run.collect("--since=1h"))
    assert status == 0, said
    assert run.written() == Counter(run.names)


def test_a_later_collector_takes_over_at_once(run: Run) -> None:
    run.answer(run.names[:2])
    earlier = run.collect("--part-rows=2")
    wait_until(run.written, ENDED_S, "the first part")
    later = run.collect()
    status, said = run.end(earlier)
    why = f"same group.instance.id joined the group {group_of(run.name)}"
    assert (status, why in said) == (1, True), said
    run.answer(run.names)
    status, said = run.end(later)
    assert status == 0, said
    assert run.written() == Counter(run.names)


@pytest.mark.full
def test_added_partitions_are_read_too(run: Run) -> None:
    run.answer(run.names[:2], partition=0)
    run.kill_after(2)
    topic = run.stream.settings.output_topic
    admin = run.stream.admin()
    admin.create_partitions([NewPartitions(topic, 3)])[topic].result()
    process = run.collect()
    wait_until(lambda: "reading " in run.said(process), ENDED_S, "a collector")
    run.answer(run.names[2:], partition=2)
    status, said = run.end(process)
    assert status == 0, said
    assert run.written() == Counter(run.names)


@pytest.mark.full
def test_the_same_run_on_another_topic_reads_that(run: Run, new_topic: Callable[..., str]) -> None:
    run.answer(run.names[:2])
    run.kill_after(2)
    topic = new_topic("other")
    run.answer(run.names[2:], topic=topic)
    status, said = run.end(run.collect(KAFKA_OUTPUT_TOPIC=topic))
    assert status == 0, said
    assert run.written() == Counter(run.names)


def test_without_a_run_all_replies_are_written_and_a_group_resumes(run: Run) -> None:
    command = ["consumer", f"--parquet={run.results}", "--from-beginning", f"--group={run.name}"]
    run.answer(run.names)
    for count, total in ((6, 6), (4, 10)):
        status, said = run.end(run.stream.start(*command, f"--count={count}"))
        assert (status, f"{count} answered" in said) == (0, True), said
        assert run.written().total() == total
    assert run.written() == Counter(run.names)


def test_a_reader_that_commits_by_hand_gets_uncommitted_messages_again(run: Run) -> None:
    run.answer(run.names, partition=0)
    config = consumer_config(run.stream.settings, run.name)
    topics = [run.stream.settings.output_topic]

    def first() -> int:
        """Reads one message, commits it, and reads another; returns the offset of the first."""
        with closing(Reader(config, topics, True, group=True, manual_commit=True)) as reader:
            (one,) = wait_until(lambda: reader.read(1, 0.1), ENDED_S, "an answer")
            reader.commit()
            assert wait_until(lambda: reader.read(1, 0.1), ENDED_S, "another")
            offset: int = one.offset()
            return offset

    assert [first() for _ in range(3)] == [0, 1, 2]
