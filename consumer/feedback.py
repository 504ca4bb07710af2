"""What people said of answers, as a training set: `python -m consumer.feedback`."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
from confluent_kafka import KafkaException

from consumer.corrections import Corrections, TooMany, TrainingSet
from consumer.labels import HIRAGANA
from producer.settings import client_settings
from seldon_kafka.config.refusal import admitted
from seldon_kafka.config.settings import Settings, SettingsError
from seldon_kafka.dead_letters.terminal import Notice
from seldon_kafka.transport.snapshot import ReadError, Snapshot

_EXAMPLES = """
examples:
  python -m consumer.feedback --out corrections.npz
  python -m model.train fast --feedback corrections.npz

The file has `images`, uint8 (n, 28, 28), and `labels`, uint8 (n,). The latest word on each image
counts. A picture is taken from the feedback's own request, else from the input topic.

Brokers and topics come from KAFKA_BROKER (else the local cluster), KAFKA_FEEDBACK_TOPIC and
KAFKA_INPUT_TOPIC.

exit status: 0 written; 1 there is nothing to write, it can't be written, or the topics can't be
read; 2 wrong use; 130 Ctrl-C.
"""


class NothingFound(Exception):
    """No correction has a picture and a label."""


def main(arguments: list[str] | None = None) -> int:
    """Read the feedback topic as it is now, and write the file.

    Returns:
        Exit status, as `--help` has it.
    """
    options = _parser().parse_args(arguments)
    # What the client retries by itself is no news to whoever waits for the file.
    logging.getLogger("seldon_kafka.client").setLevel(logging.CRITICAL)
    try:
        _run(options.out, admitted(client_settings()))
    except SettingsError as error:
        return _failed(error, 2)
    except (ReadError, TooMany, NothingFound) as error:
        return _failed(error, 1)
    except OSError as error:
        return _failed(f"{options.out} can't be written: {error.strerror or error}", 1)
    except KafkaException as error:
        return _failed(error.args[0].str(), 1)
    except KeyboardInterrupt:
        return 130
    return 0


def _failed(error: object, status: int) -> int:
    sys.stderr.write(f"error: {error}\n")
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m consumer.feedback",
        description="Write what people said of answers, with the images, as a training set.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="a .npz file, written anew"
    )
    return parser


def _run(out: Path, settings: Settings) -> None:
    with _whole(out) as sink:
        found = _gather(settings)
        for line in _left_out(found):
            sys.stderr.write(line + "\n")
        if not len(found.labels):
            raise NothingFound(
                f"no correction in {settings.feedback_topic} has a picture and a label; "
                f"{out} is not written"
            )
        np.savez_compressed(sink, images=found.images, labels=found.labels)
    for line in _summary(out, found):
        sys.stdout.write(line + "\n")


@contextmanager
def _whole(path: Path) -> Iterator[IO[bytes]]:
    """A file that is there under its name once all of it is written, or not at all."""
    if path.is_dir():
        raise IsADirectoryError(None, "it is a folder")
    unfinished = path.with_name(path.name + ".unfinished")
    try:
        with unfinished.open("wb") as sink:
            yield sink
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _gather(settings: Settings) -> TrainingSet:
    corrections = Corrections(settings.input_topic, settings.max_message_bytes)
    topic = settings.feedback_topic
    notice = Notice()
    with Snapshot(settings, "corrections") as snapshot:
        tell = partial(notice.update, f"messages of {topic} read:")
        for record in snapshot.everything(topic, tell):
            corrections.add(record)
        wanted = corrections.wanted()
        for number, record in enumerate(snapshot.at(settings.input_topic, wanted), 1):
            notice.update("pictures fetched:", number, len(wanted))
            corrections.show(record)
    return corrections.settle()


def _left_out(found: TrainingSet) -> list[str]:
    return [f"left out {number:,}: {reason}" for reason, number in found.left_out.most_common()]


def _summary(out: Path, found: TrainingSet) -> list[str]:
    each = np.bincount(found.labels, minlength=len(HIRAGANA)).tolist()
    counts = zip(HIRAGANA.items(), each, strict=True)
    lines = [f"  {hiragana} {romaji:<4} {number:,}" for (romaji, hiragana), number in counts]
    return [f"{out}: {len(found.labels):,} images", *lines]


if __name__ == "__main__":
    sys.exit(main())
