"""The command line of the producer."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
from confluent_kafka import KafkaException

from model.dataset import DatasetError
from producer.console_lines import check_text, command, line
from producer.delivery import deliver
from producer.formats import FORMATS, FormatError, encode
from producer.locations import LocationError
from producer.messages import Message, messages, total
from producer.picture import BadPicture
from producer.run import send_objects, sends_objects
from producer.runs import run_name
from producer.send import SendError
from producer.settings import client_settings
from producer.sources import (
    Source,
    SourceError,
    best_source,
    file_source,
    sample_source,
    split_source,
)
from seldon_kafka.config.arguments import positive_integer, positive_number
from seldon_kafka.config.refusal import admitted
from seldon_kafka.config.settings import Settings, SettingsError, load_settings

_EXAMPLES = """
examples:
  python -m producer                              the test images, else the bundled samples
  python -m producer --split test --rate 200 --loop
  python -m producer scan.jpg drawings/ --format png
  python -m producer s3://scans/2026/ --run spring --format png --results s3://results/
  python -m producer --loop --rate 50 --bad 0.05
  python -m producer --format v2 --batch 16 --key '{n}'
  python -m producer --stdout --key '{truth}' --headers | \\
    $(python -m producer --print-command --key '{truth}' --headers)

KAFKA_BROKER sets the brokers (default: the local cluster), and KAFKA_INPUT_TOPIC the topic. For
s3:// addresses AWS_ENDPOINT_URL sets the store, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY its
keys. With --run each object becomes one message. Objects that already have a row in --results are
skipped. To continue a run that was stopped, run the same command again.
"""


def main(arguments: list[str] | None = None) -> int:
    """Sends the images that the arguments name.

    Returns:
        0 if every message was acknowledged or written to standard output, if the command was
        printed, or if the reader of standard output closed it. 1 after another error, or if a
        picture was skipped. 2 for wrong arguments or settings, 130 after Ctrl-C.
    """
    options = _parser().parse_args(arguments)
    # The Kafka client logs each error of an attempt, even if its next attempt succeeds. The summary
    # shows the errors of messages that failed for good.
    logging.getLogger("seldon_kafka.client").setLevel(logging.CRITICAL)
    try:
        return _run(options)
    except (FormatError, SettingsError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except (SourceError, SendError, DatasetError, BadPicture, LocationError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KafkaException as error:
        sys.stderr.write(f"error: {error.args[0].str()}\n")
        return 1
    except BrokenPipeError:
        # The reader has closed the pipe. Without this line Python would print an error at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m producer",
        description="Send images of characters to the input topic.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "pictures",
        nargs="*",
        metavar="PICTURES",
        help="image files and folders, of any size and colour, or s3://bucket/prefix",
    )
    parser.add_argument(
        "--split", choices=("train", "validation", "test"), help="send a split of the data set"
    )
    parser.add_argument("--samples", action="store_true", help="send the bundled samples")
    parser.add_argument(
        "--format", choices=FORMATS, default="ndarray", help="wire format (%(default)s)"
    )
    parser.add_argument(
        "--batch", type=positive_integer, default=1, metavar="N", help="images per message (1)"
    )
    parser.add_argument(
        "--count", type=positive_integer, metavar="N", help="maximum number of messages"
    )
    parser.add_argument("--loop", action="store_true", help="start again after the last image")
    parser.add_argument("--rate", type=positive_number, metavar="R", help="messages per second")
    parser.add_argument(
        "--bad",
        type=_share,
        default=0.0,
        metavar="S",
        help="share of messages that are not valid, 0 to 1",
    )
    parser.add_argument(
        "--key",
        metavar="TEXT",
        help="message key; {n}: number of the message, {truth}: true labels",
    )
    parser.add_argument(
        "--timeout",
        type=positive_number,
        default=30.0,
        metavar="S",
        help="seconds after which an undelivered message counts as failed (30)",
    )
    run = parser.add_argument_group("for many images; python -m consumer --run collects results")
    run.add_argument(
        "--run",
        type=run_name,
        metavar="NAME",
        help="send all objects of a folder or an s3:// prefix",
    )
    run.add_argument(
        "--results",
        metavar="LOCATION",
        help="location of the run's results; objects that have a row in them are skipped",
    )
    console = parser.add_argument_group("for Kafka's console producer")
    console.add_argument(
        "--stdout", action="store_true", help="write lines to standard output and send nothing"
    )
    console.add_argument("--headers", action="store_true", help="add headers to the lines")
    console.add_argument(
        "--print-command", action="store_true", help="print the command that reads the lines"
    )
    return parser


def _run(options: argparse.Namespace) -> int:
    if sum((bool(options.pictures), options.split is not None, options.samples)) > 1:
        raise FormatError("give only one source: pictures, --split or --samples")
    if options.stdout or options.print_command:
        check_text(FORMATS[options.format])
    elif options.headers:
        raise FormatError("--headers needs --stdout; messages on the topic always have headers")
    if sends_objects(options):
        return send_objects(options, client_settings())
    if options.print_command:
        return _print_command(options, load_settings().input_topic)
    settings = load_settings() if options.stdout else admitted(client_settings())
    with redirect_stdout(sys.stderr):  # standard output is for messages, not for download progress
        source = _source(options)
    for reason in source.skipped:
        sys.stderr.write(f"skipped {reason}\n")
    if options.stdout:
        return _write_lines(options, source)
    return _send(options, settings, source)


def _source(options: argparse.Namespace) -> Source:
    if options.pictures:
        return file_source([Path(each) for each in options.pictures])
    if options.samples:
        return sample_source()
    return split_source(options.split) if options.split else best_source()


def _messages(options: argparse.Namespace, source: Source) -> Iterator[Message]:
    return messages(
        source,
        FORMATS[options.format],
        options.batch,
        options.key,
        options.count,
        options.loop,
        options.bad,
    )


def _share(text: str) -> float:
    share = float(text)
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to 1")
    return share


def _print_command(options: argparse.Namespace, topic: str) -> int:
    # In formats with pixels as digits, white images have the longest text: three digits a pixel.
    largest = encode(FORMATS[options.format], np.full((options.batch, 28, 28), 255, np.uint8))
    text = command(topic, options.key is not None, options.headers, len(largest))
    sys.stdout.write(text + "\n")
    return 0


def _write_lines(options: argparse.Namespace, source: Source) -> int:
    out = sys.stdout.buffer
    for message in _messages(options, source):
        out.write(line(message, options.key is not None, options.headers))
    out.flush()
    return 1 if source.skipped else 0


def _send(options: argparse.Namespace, settings: Settings, source: Source) -> int:
    # If a message of this format cannot hold several images, this line raises the error before
    # anything is sent.
    encode(FORMATS[options.format], source.images[: options.batch])
    expected = total(source, options.batch, options.count, options.loop)
    outgoing = _messages(options, source)
    tally = deliver(options, settings, f"the {source.name}", outgoing, expected)
    if tally.interrupted:
        return 130
    return 0 if tally.complete and not source.skipped else 1


if __name__ == "__main__":
    sys.exit(main())
