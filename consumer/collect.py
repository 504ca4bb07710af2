"""`python -m consumer --run NAME` collects one row for each object of a run."""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

from confluent_kafka import Message

from consumer.answers import read_answer
from consumer.parquet import Parts, rows_of
from consumer.reader import Reader
from producer.locations import Location, LocationError, open_location
from producer.results import Results, Row
from producer.runs import OBJECT, RUN, group_of
from seldon_kafka.config.clients import consumer_config
from seldon_kafka.config.settings import Settings
from seldon_kafka.config.stop_signals import stop_signals_calling
from seldon_kafka.messages import header
from seldon_kafka.progress_bar import counting

_BATCH = 500
_POLL_S = 0.1
_MOST_NAMED = 5
# A sender's clock may be this far behind the clock of the user who sets --since.
_CLOCK_SKEW_MS = 60_000


class Collection:
    """The objects of a run, and counts of their answers.

    Args:
        run: name of the run.
        names: names of all objects; this set becomes `missing`.
        dead_letter_topic: name of the topic for dead letters.

    Attributes:
        total: number of objects of the run.
        missing: names of the objects without a row.
        rows: number of rows that `row` has returned.
        reasons: number of these rows without a label, by reason.
    """

    def __init__(self, run: str, names: set[str], dead_letter_topic: str) -> None:
        self.total = len(names)
        self.missing = names
        self.rows = 0
        self.reasons: Counter[str] = Counter()
        self._run = run.encode()
        self._dead_letter_topic = dead_letter_topic

    def is_of_run(self, message: Message) -> bool:
        """Returns whether a message is an answer of the run."""
        headers: Any = message.headers() or ()
        return header(headers, RUN) == self._run

    def row(self, message: Message) -> Row | None:
        """Returns the row of an answer, whose object is then no longer missing.

        Returns:
            The row. None if the object is not in `missing`, or the message only marks a replay.
        """
        headers: Any = message.headers() or ()
        name = (header(headers, OBJECT) or b"").decode("utf-8", "replace")
        if name not in self.missing:
            return None
        answer = read_answer(message, self._dead_letter_topic)
        if answer is None:
            return None
        row = next(rows_of(answer, int(1000 * time.time())))
        self.missing.discard(name)
        self.rows += 1
        if row.reason is not None:
            self.reasons[row.reason] += 1
        return row


def collect(options: argparse.Namespace, settings: Settings) -> int:
    """Collects answers until each object has a row.

    Args:
        options: `parquet`, `run`, `of`, `since`, `timeout` and `part_rows` of the command line.
        settings: brokers and topics.

    Returns:
        Exit status: 0 if each object has a row, 1 after the timeout, 130 after a stop signal.

    Raises:
        LocationError: there are no objects or they can't be read, or the results can't be read or
            written.
        consumer.reader.ReadError: the topics can't be read.
    """
    objects = open_location(options.of)
    results = Results.of_run(options.parquet, options.run, objects)
    names = {entry.name for entry in objects.entries()}
    if not names:
        raise LocationError(f"there is no object in {objects.address}: check the address")
    collection = Collection(options.run, names, settings.dead_letter_topic)
    collection.missing -= results.new_objects()
    is_stopping = bool(collection.missing) and _read(options, settings, results, collection)
    return _conclude(options, results.location, collection, is_stopping)


def _read(
    options: argparse.Namespace, settings: Settings, results: Results, collection: Collection
) -> bool:
    """Reads until no object is missing, the timeout ends, or a stop signal comes.

    Returns:
        Whether a stop signal came.
    """
    topics = [settings.output_topic, settings.dead_letter_topic]
    # All collectors of the run have the same instance id, so that a new collector replaces the
    # previous one at once.
    config = consumer_config(settings, group_of(options.run), group_instance_id="collector")
    since_ms = None if options.since is None else options.since - _CLOCK_SKEW_MS
    reader = Reader(
        config, topics, True, group=True, manual_commit=True, all_partitions=True, since_ms=since_ms
    )
    stopping: list[bool] = []
    with (
        closing(reader),
        stop_signals_calling(lambda: stopping.append(True)),
        _bar(collection) as report,
    ):
        left = f"{len(collection.missing)} of {collection.total} objects missing"
        sys.stderr.write(f"reading {' and '.join(topics)}: {left}\n")
        sys.stderr.flush()
        parts = Parts(results, options.part_rows, reader.commit)
        last = time.monotonic()
        while collection.missing and not stopping:
            found = [each for each in reader.read(_BATCH, _POLL_S) if collection.is_of_run(each)]
            parts.add([row for row in map(collection.row, found) if row is not None])
            if parts.due:
                report(_flush(parts, results, collection))
            if found:
                last = time.monotonic()
                report(0)
            elif options.timeout is not None and time.monotonic() - last > options.timeout:
                break
        report(_flush(parts, results, collection))
    return bool(stopping)


def _flush(parts: Parts, results: Results, collection: Collection) -> int:
    """Writes the gathered rows as a part, and returns the number of rows in it."""
    # This collector may have replaced another collector of the run, which has written rows of the
    # same objects.
    others = results.new_objects()
    collection.missing -= others
    return parts.flush(others)


def _conclude(
    options: argparse.Namespace, location: Location, collection: Collection, is_stopping: bool
) -> int:
    """Prints the summary, with advice if objects are missing, and returns the exit status."""
    missing, total = collection.missing, collection.total
    sys.stderr.write(
        f"{total - len(missing)} of {total} objects have a row in {location.address}; "
        f"{collection.rows} rows are new\n"
    )
    for reason, number in collection.reasons.most_common():
        sys.stderr.write(f"  {number} without a label: {reason}\n")
    if not missing:
        return 0
    first = ", ".join(itertools.islice(sorted(missing), _MOST_NAMED))
    more = ", …" if len(missing) > _MOST_NAMED else ""
    sys.stderr.write(f"{len(missing)} missing: {first}{more}\n")
    if is_stopping:
        return 130
    sys.stderr.write(
        "error: no further answers of the run arrived within the timeout. "
        "Send the missing objects and collect again: "
        f"python -m producer {options.of} --run {options.run} --results {options.parquet}\n"
    )
    return 1


@contextmanager
def _bar(collection: Collection) -> Iterator[Callable[[int], None]]:
    """Shows a progress bar on a terminal; without a terminal, writes a line for each part.

    Yields:
        A function that takes the number of rows that were just written.
    """
    with counting() as progress:
        task = progress.add_task("objects with a row", total=collection.total)

        def report(written: int) -> None:
            missing = len(collection.missing)
            progress.update(task, completed=collection.total - missing)
            if written and progress.disable:
                sys.stderr.write(f"{written} rows written, {missing} missing\n")
                sys.stderr.flush()

        yield report
