"""The command line of the consumer."""

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
from consumer.lines import csv_lines, json_lines, text_lines
from consumer.pictures import PictureFetcher
from consumer.reader import Reader, ReadError, end_offsets
from consumer.score import Score
from consumer.summary import show_score, summary
from consumer.view import View
from kafka.arguments import positive_integer, positive_number
from kafka.clients import consumer_config
from kafka.refusal import admitted, explained
from kafka.settings import Settings, SettingsError, load_settings

_BATCH = 500
_POLL_S = 0.1

_EXAMPLES = """
examples:
  python -m consumer                             watch what comes
  python -m consumer --from-beginning --score --count 10000
  python -m consumer --json | jq -r '.labels[].hiragana'
  python -m consumer --csv --group sheet > answers.csv
  python -m consumer --dead-letters --json --timeout 5

Brokers and topics come from KAFKA_BROKER (else the local cluster),
KAFKA_OUTPUT_TOPIC and KAFKA_DEAD_LETTER_TOPIC.
"""


def main(arguments: list[str] | None = None) -> int:
    """Read what the arguments say.

    Returns:
        0, or 1 if there were fewer messages than --count or the topics cannot be
        read, 2 for wrong arguments or settings, 130 after Ctrl-C.
    """
    options = _parser().parse_args(arguments)
    # What the client retries by itself is no news to whoever watches.
    logging.getLogger("kafka.client").setLevel(logging.CRITICAL)
    try:
        return _run(options, admitted(load_settings()))
    except SettingsError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except ReadError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KafkaException as error:
        sys.stderr.write(f"error: {error.args[0].str()}\n")
        return 1
    except KeyboardInterrupt:  # before anything was read
        return 130
    except BrokenPipeError:
        # The reader has seen enough. Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m consumer",
        description="Show, write or score what comes out of the output topic.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    lines = parser.add_mutually_exclusive_group()
    lines.add_argument("--json", action="store_true", help="a JSON object for each message")
    lines.add_argument("--csv", action="store_true", help="a line for each image")
    parser.add_argument("--score", action="store_true", help="accuracy, confusion, what is amiss")
    parser.add_argument("--dead-letters", action="store_true", help="also in lines (view: always)")
    parser.add_argument("--from-beginning", action="store_true", help="what is there already, too")
    parser.add_argument("--group", metavar="ID", help="share the work, and go on where it ended")
    parser.add_argument(
        "--count", type=positive_integer, metavar="N", help="end after so many messages"
    )
    parser.add_argument(
        "--timeout", type=positive_number, metavar="S", help="end when nothing has come for so long"
    )
    return parser


def _run(options: argparse.Namespace, settings: Settings) -> int:
    as_lines = options.json or options.csv
    with_dead = options.dead_letters or options.score or not as_lines
    topics = [settings.output_topic]
    if with_dead:
        topics.append(settings.dead_letter_topic)
    # A group of its own name, never committed to, for whoever wants none.
    group = options.group or f"consumer-{uuid.uuid4().hex}"
    config = consumer_config(settings, group)
    inputs = _Inputs(config, settings.input_topic, options.from_beginning)
    reader = Reader(config, topics, options.from_beginning, group=options.group is not None)
    score = Score(started_ms=int(1000 * time.time()))  # whole, as Kafka's timestamps are
    interrupted = False
    try:
        # Whoever starts us may wait for this line: nothing that is sent after it is missed.
        sys.stderr.write(f"reading {' and '.join(topics)}\n")
        sys.stderr.flush()
        with closing(reader), _sink(options, settings, config, score) as sink:
            _pump(reader, settings.dead_letter_topic, score, sink, options.count, options.timeout)
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
    """Where answers go."""

    take: Callable[[Answer, float | None], None]
    idle: Callable[[], None]


@contextmanager
def _sink(
    options: argparse.Namespace, settings: Settings, config: dict[str, Any], score: Score
) -> Iterator[_Sink]:
    if options.json or options.csv or not sys.stdout.isatty():
        make = json_lines if options.json else csv_lines if options.csv else text_lines
        yield _Sink(make(sys.stdout), sys.stdout.flush)
        return
    with ExitStack() as stack:
        pictures = stack.enter_context(closing(PictureFetcher(config, settings.max_message_bytes)))
        title = f"{settings.output_topic} on {settings.broker}   (Ctrl-C ends)"
        view = stack.enter_context(View(Console(highlight=False), score, pictures, title))
        yield _Sink(view.show, view.tick)


def _pump(
    reader: Reader,
    dead_letter_topic: str,
    score: Score,
    sink: _Sink,
    count: int | None,
    timeout_s: float | None,
) -> None:
    """Read until there were enough messages, or none for too long."""
    last = time.monotonic()
    while count is None or score.total < count:
        most = _BATCH if count is None else min(_BATCH, count - score.total)
        found = reader.read(most, _POLL_S)
        received_ms = 1000 * time.time()
        for message in found:
            answer = read_answer(message, dead_letter_topic)
            if answer is not None:
                sink.take(answer, score.add(answer, received_ms))
        sink.idle()
        if found:
            last = time.monotonic()
        elif timeout_s is not None and time.monotonic() - last > timeout_s:
            return


class _Inputs:
    """Counts what goes into the input topic while we look."""

    def __init__(self, config: dict[str, Any], topic: str, from_beginning: bool) -> None:
        self._consumer = Consumer(config)
        self._topic = topic
        try:
            offsets = end_offsets(self._consumer, topic)
        except KafkaException as error:
            raise explained(error, config) from error
        self._from = {p: low if from_beginning else high for p, (low, high) in offsets.items()}

    def sent(self) -> int | None:
        """Messages since then; None if the topic or its brokers are gone. Ask once."""
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
