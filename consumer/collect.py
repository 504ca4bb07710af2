"""The answers of a run, one row an object: `python -m consumer --parquet PLACE --run NAME`."""

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
_NAMED = 5
# A sender's clock may be behind the one that --since was read from.
_CLOCKS_MS = 60_000


class Collection:
    """The objects of a run, and the first answer of each.

    Attributes:
        total: How many there are.
        missing: Names of those that have no row yet.
        rows: How many answers were taken.
        reasons: Why there was no label in them, and how often.
    """

    def __init__(self, run: str, names: set[str], dead_letter_topic: str) -> None:
        """Begin with no answer.

        Args:
            run: The run's name.
            names: Of all objects; it becomes `missing`.
            dead_letter_topic: Tells dead letters from replies.
        """
        self.total = len(names)
        self.missing = names
        self.rows = 0
        self.reasons: Counter[str] = Counter()
        self._run = run.encode()
        self._dead_letter_topic = dead_letter_topic

    def is_of_run(self, message: Message) -> bool:
        """Whether a message is an answer of the run."""
        headers: Any = message.headers() or ()
        return header(headers, RUN) == self._run

    def row(self, message: Message) -> Row | None:
        """The row that a message makes, if it is the first answer of an object."""
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
    """Collect until each object has a row.

    Args:
        options: `parquet`, `run`, `of`, `since`, `timeout` and `part_rows` of the command line.
        settings: Whose brokers and topics.

    Returns:
        0 if each object has a row, 1 if nothing came for too long, 130 if it was told to stop.

    Raises:
        LocationError: The objects or the results can't be read or written.
        consumer.reader.ReadError: The topics can't be read.
    """
    objects = open_location(options.of)
    results = Results.of_run(options.parquet, options.run, objects)
    names = {entry.name for entry in objects.entries()}
    if not names:
        raise LocationError(f"there is no object in {objects.address}: check the address")
    collection = Collection(options.run, names, settings.dead_letter_topic)
    collection.missing -= results.new_objects()
    is_stopped = bool(collection.missing) and _read(options, settings, results, collection)
    return _conclude(options, results.location, collection, is_stopped)


def _read(
    options: argparse.Namespace, settings: Settings, results: Results, collection: Collection
) -> bool:
    """Read until nothing is missing, nothing has come for too long, or we are told to stop.

    Returns:
        Whether we were told.
    """
    topics = [settings.output_topic, settings.dead_letter_topic]
    # One name for whoever collects the run: who comes later takes the place over at once.
    config = consumer_config(settings, group_of(options.run), group_instance_id="collector")
    since_ms = None if options.since is None else options.since - _CLOCKS_MS
    reader = Reader(config, topics, True, group=True, by_hand=True, alone=True, since_ms=since_ms)
    told: list[bool] = []
    with (
        closing(reader),
        stop_signals_calling(lambda: told.append(True)),
        _bar(collection) as watch,
    ):
        left = f"{len(collection.missing)} of {collection.total} objects missing"
        sys.stderr.write(f"reading {' and '.join(topics)}: {left}\n")
        sys.stderr.flush()
        parts = Parts(results, options.part_rows, reader.commit)
        last = time.monotonic()
        while collection.missing and not told:
            found = [each for each in reader.read(_BATCH, _POLL_S) if collection.is_of_run(each)]
            parts.add([row for row in map(collection.row, found) if row is not None])
            if parts.due:
                watch(_flush(parts, results, collection))
            if found:
                last = time.monotonic()
                watch(0)
            elif options.timeout is not None and time.monotonic() - last > options.timeout:
                break
        watch(_flush(parts, results, collection))
    return bool(told)


def _flush(parts: Parts, results: Results, collection: Collection) -> int:
    """Write a part; the number of its rows."""
    # Another collector of the run, one that was cut off from the brokers and taken for dead, may
    # have written rows of the same objects.
    others = results.new_objects()
    collection.missing -= others
    return parts.flush(others)


def _conclude(
    options: argparse.Namespace, location: Location, collection: Collection, is_stopped: bool
) -> int:
    """Say how it went, and what to do if it is not complete."""
    missing, total = collection.missing, collection.total
    sys.stderr.write(
        f"{total - len(missing)} of {total} objects have a row in {location.address}, "
        f"{collection.rows} of them new\n"
    )
    for reason, number in collection.reasons.most_common():
        sys.stderr.write(f"  {number} without a label: {reason}\n")
    if not missing:
        return 0
    first = ", ".join(itertools.islice(sorted(missing), _NAMED))
    more = ", …" if len(missing) > _NAMED else ""
    sys.stderr.write(f"{len(missing)} missing: {first}{more}\n")
    if is_stopped:
        return 130
    sys.stderr.write(
        "error: nothing of the run has come for so long. Send what is missing and collect again: "
        f"python -m producer {options.of} --run {options.run} --results {options.parquet}\n"
    )
    return 1


@contextmanager
def _bar(collection: Collection) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal, elsewhere a line for each part.

    What it gives is called with the number of rows that were just written, again and again.
    """
    with counting() as progress:
        task = progress.add_task("objects with a row", total=collection.total)

        def watch(written: int) -> None:
            missing = len(collection.missing)
            progress.update(task, completed=collection.total - missing)
            if written and progress.disable:
                sys.stderr.write(f"{written} rows written, {missing} missing\n")
                sys.stderr.flush()

        yield watch
