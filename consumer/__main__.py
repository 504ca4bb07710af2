"""`python -m consumer` shows, writes or scores the answers of the output topic."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaException
from rich.console import Console

from consumer.answers import Answer, read_answer
from consumer.collect import collect
from consumer.lines import csv_lines, json_lines, text_lines
from consumer.parquet import PART_ROWS, Parts
from consumer.reader import Reader, end_offsets
from consumer.score import Score
from consumer.summary import show_score, summary
from consumer.view import View
from producer.locations import LocationError, open_location
from producer.results import Results
from producer.runs import run_name
from producer.settings import client_settings
from seldon_kafka.config.arguments import positive_integer, positive_number
from seldon_kafka.config.clients import consumer_config
from seldon_kafka.config.refusal import admitted, explained
from seldon_kafka.config.settings import Settings, SettingsError
from seldon_kafka.dead_letters.selection import parse_time
from seldon_kafka.transport.snapshot import ReadError

_BATCH = 500
_POLL_S = 0.1
# Options that exclude `--run`, because a run itself determines what to read and when to end.
_NOT_FOR_RUN = ("score", "dead_letters", "from_beginning", "group", "count")

_EXAMPLES = """
examples:
  python -m consumer                             watch new answers
  python -m consumer --from-beginning --score --count 10000
  python -m consumer --json | jq -r '.labels[].hiragana'
  python -m consumer --csv --group sheet > answers.csv
  python -m consumer --dead-letters --json --timeout 5
  python -m consumer --parquet answers/ --from-beginning --timeout 10
  python -m consumer --parquet s3://results/ --run spring --of s3://scans/2026/

Brokers and topics come from KAFKA_BROKER (else the local cluster),
KAFKA_OUTPUT_TOPIC and KAFKA_DEAD_LETTER_TOPIC. The store of s3:// addresses
comes from AWS_ENDPOINT_URL, its keys from AWS_ACCESS_KEY_ID and
AWS_SECRET_ACCESS_KEY. With --run, the command ends when each object has one
row. After a stop, the same command continues the run.
"""


def main(arguments: list[str] | None = None) -> int:
    """Runs the consumer.

    Returns:
        Exit status: 0 after success or a closed pipe, 2 for wrong settings, 130 after Ctrl-C (with
        --run, also after SIGTERM). 1 if the topics can't be read, a location can't be read or
        written, there were fewer messages than --count, or objects of a run have no row.

    Raises:
        SystemExit: the arguments are wrong (exit status 2), or ask for help (0).
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    _check(parser, options)
    # The Kafka client would log errors after which it retries by itself. Errors that end the
    # consumer are printed below.
    logging.getLogger("seldon_kafka.client").setLevel(logging.CRITICAL + 1)
    try:
        settings = admitted(client_settings())
        return collect(options, settings) if options.run else _run(options, settings)
    except SettingsError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except (ReadError, LocationError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KafkaException as error:
        sys.stderr.write(f"error: {error.args[0].str()}\n")
        return 1
    except KeyboardInterrupt:  # before or after the reading, which handles Ctrl-C itself
        return 130
    except BrokenPipeError:
        # The program that read standard output has ended. Output that is still buffered goes to
        # /dev/null, because writing it to the closed pipe would fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m consumer",
        description="Show, write or score the answers of the output topic.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    lines = parser.add_mutually_exclusive_group()
    lines.add_argument("--json", action="store_true", help="write a JSON object for each message")
    lines.add_argument("--csv", action="store_true", help="write a line for each image")
    lines.add_argument(
        "--parquet",
        metavar="LOCATION",
        help="write a row for each image, in a folder or s3://bucket/prefix",
    )
    parser.add_argument(
        "--score", action="store_true", help="print accuracy, confusion, duplicates and gaps"
    )
    parser.add_argument(
        "--dead-letters",
        action="store_true",
        help="write dead letters too; the view and plain text always have them",
    )
    parser.add_argument("--from-beginning", action="store_true", help="read existing messages too")
    parser.add_argument("--group", metavar="ID", help="join this consumer group, and commit to it")
    parser.add_argument("--count", type=positive_integer, metavar="N", help="end after N messages")
    parser.add_argument(
        "--timeout", type=positive_number, metavar="S", help="end after S seconds without messages"
    )
    run = parser.add_argument_group("with --parquet")
    run.add_argument(
        "--run", type=run_name, metavar="NAME", help="name of the run, as in python -m producer"
    )
    run.add_argument("--of", metavar="LOCATION", help="location of the run's objects")
    run.add_argument(
        "--since", type=_time, metavar="TIME", help="start of the run: 2h (ago), 2026-05-31T12:30Z"
    )
    run.add_argument(
        "--part-rows",
        type=positive_integer,
        default=PART_ROWS,
        metavar="N",
        help="rows per file (%(default)s)",
    )
    return parser


def _check(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Exits with a usage error if two options exclude each other, or a needed option is missing."""
    if options.run is None:
        if options.of or options.since:
            parser.error("--of and --since go with --run")
        return
    if options.parquet is None or options.of is None:
        parser.error("--run goes with --parquet LOCATION and --of LOCATION")
    given = [name for name in _NOT_FOR_RUN if getattr(options, name)]
    if given:
        parser.error(f"--{given[0].replace('_', '-')} does not go with --run")


def _time(text: str) -> int:
    try:
        return parse_time(text, int(1000 * time.time()))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _run(options: argparse.Namespace, settings: Settings) -> int:
    as_lines = options.json or options.csv or options.parquet is not None
    with_dead = options.dead_letters or options.score or not as_lines
    topics = [settings.output_topic]
    if with_dead:
        topics.append(settings.dead_letter_topic)
    # librdkafka needs a group id. Without --group, the id is random, and nothing is committed.
    group = options.group or f"consumer-{uuid.uuid4().hex}"
    config = consumer_config(settings, group)
    inputs = _Inputs(config, settings.input_topic, options.from_beginning)
    reader = Reader(
        config,
        topics,
        options.from_beginning,
        group=options.group is not None,
        manual_commit=options.parquet is not None,
    )
    # Whole milliseconds, as in Kafka's timestamps.
    score = Score(started_ms=int(1000 * time.time()))
    interrupted = False
    try:
        # Programs that send messages, such as the demo, wait for this line. Without --group, the
        # reader misses no message that is sent after it.
        sys.stderr.write(f"reading {' and '.join(topics)}\n")
        sys.stderr.flush()
        with closing(reader), _sink(options, settings, config, score, reader.commit) as sink:
            _read_answers(
                reader, settings.dead_letter_topic, score, sink, options.count, options.timeout
            )
    except KeyboardInterrupt:
        interrupted = True
    out = Console(stderr=as_lines, highlight=False)
    if options.score:
        show_score(score, out)
    out.print(summary(score, inputs.sent()), markup=False)
    if interrupted:
        return 130
    return 1 if options.count is not None and score.total < options.count else 0


@dataclass(frozen=True)
class _Sink:
    """Functions that show or write answers.

    Attributes:
        write: called with each answer and its latency in ms; the latency is None if unknown.
        idle: called after each read, even if it returned no messages.
    """

    write: Callable[[Answer, float | None], None]
    idle: Callable[[], None]


@contextmanager
def _sink(
    options: argparse.Namespace,
    settings: Settings,
    config: dict[str, Any],
    score: Score,
    commit: Callable[[], None],
) -> Iterator[_Sink]:
    if options.parquet is not None:
        results = Results(open_location(options.parquet))
        with Parts(results, options.part_rows, commit) as parts:
            yield _Sink(parts.take, parts.flush_if_due)
        return
    if options.json or options.csv or not sys.stdout.isatty():
        make = json_lines if options.json else csv_lines if options.csv else text_lines
        yield _Sink(make(sys.stdout), sys.stdout.flush)
        return
    # Imported only here, because the image of sdep/batch lacks libraries that `consumer.pictures`
    # imports.
    from consumer.pictures import PictureFetcher

    with ExitStack() as stack:
        pictures = stack.enter_context(closing(PictureFetcher(config, settings.max_message_bytes)))
        title = f"{settings.output_topic} on {settings.broker}   (Ctrl-C ends)"
        view = stack.enter_context(View(Console(highlight=False), score, pictures, title))
        yield _Sink(view.show, view.tick)


def _read_answers(
    reader: Reader,
    dead_letter_topic: str,
    score: Score,
    sink: _Sink,
    count: int | None,
    timeout_s: float | None,
) -> None:
    """Reads until there were `count` answers, or no message for `timeout_s` seconds."""
    last = time.monotonic()
    while count is None or score.total < count:
        limit = _BATCH if count is None else min(_BATCH, count - score.total)
        found = reader.read(limit, _POLL_S)
        received_ms = 1000 * time.time()
        for message in found:
            answer = read_answer(message, dead_letter_topic)
            if answer is not None:
                sink.write(answer, score.add(answer, received_ms))
        sink.idle()
        if found:
            last = time.monotonic()
        elif timeout_s is not None and time.monotonic() - last > timeout_s:
            return


class _Inputs:
    """Counts the messages that are sent to the input topic after this object was made.

    With `from_beginning`, the messages that exist already count too.
    """

    def __init__(self, config: dict[str, Any], topic: str, from_beginning: bool) -> None:
        self._consumer = Consumer(config)
        self._topic = topic
        try:
            offsets = end_offsets(self._consumer, topic)
        except KafkaException as error:
            raise explained(error, config) from error
        self._from = {p: low if from_beginning else high for p, (low, high) in offsets.items()}

    def sent(self) -> int | None:
        """Returns the number of counted messages, and closes the client.

        Returns:
            The number of offsets, which includes transaction markers. None if the topic does not
            exist, or no broker answers.
        """
        try:
            offsets = end_offsets(self._consumer, self._topic)
        except KafkaException:
            return None
        finally:
            self._consumer.close()
        if not offsets:
            return None
        return sum(high - self._from.get(p, low) for p, (low, high) in offsets.items())


if __name__ == "__main__":
    sys.exit(main())
