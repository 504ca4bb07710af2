"""`python -m consumer.feedback` writes a training set from the feedback topic."""

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

from consumer.corrections import Corrections, TooManyCorrections, TrainingSet
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

The file has `images`, uint8 (n, 28, 28), and `labels`, uint8 (n,). The latest feedback on each
image counts. The image comes from the request in the feedback, or else from the input topic.

Brokers and topics come from KAFKA_BROKER (else the local cluster), KAFKA_FEEDBACK_TOPIC and
KAFKA_INPUT_TOPIC.

exit status: 0 the file was written; 1 there are no corrections, the file can't be written, or the
topics can't be read; 2 wrong arguments or settings; 130 Ctrl-C.
"""


class NoCorrections(Exception):
    """The feedback has no correction with an image and a label."""


def main(arguments: list[str] | None = None) -> int:
    """Reads the feedback topic up to its current end, and writes the training set.

    Returns:
        The exit status that `--help` describes.
    """
    options = _parser().parse_args(arguments)
    # The Kafka client would log errors after which it retries by itself. Errors that end the
    # command are printed below.
    logging.getLogger("seldon_kafka.client").setLevel(logging.CRITICAL)
    try:
        _run(options.out, admitted(client_settings()))
    except SettingsError as error:
        return _failed(error, 2)
    except (ReadError, TooManyCorrections, NoCorrections) as error:
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
        description="Write a training set from the images and labels in feedback.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="the .npz file to write or replace"
    )
    return parser


def _run(out: Path, settings: Settings) -> None:
    with _complete_file(out) as sink:
        found = _gather(settings)
        for line in _left_out(found):
            sys.stderr.write(line + "\n")
        if not len(found.labels):
            raise NoCorrections(
                f"no correction in {settings.feedback_topic} has an image and a label; "
                f"{out} was not written"
            )
        np.savez_compressed(sink, images=found.images, labels=found.labels)
    for line in _summary(out, found):
        sys.stdout.write(line + "\n")


@contextmanager
def _complete_file(path: Path) -> Iterator[IO[bytes]]:
    """Yields a temporary file, which is renamed to `path` if the context raises no error."""
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
        report = partial(notice.update, f"messages of {topic} read:")
        for record in snapshot.everything(topic, report):
            corrections.add(record)
        missing = corrections.missing_inputs()
        for number, record in enumerate(snapshot.at(settings.input_topic, missing), 1):
            notice.update("images fetched:", number, len(missing))
            corrections.add_input(record)
    return corrections.training_set()


def _left_out(found: TrainingSet) -> list[str]:
    return [f"left out {number:,}: {reason}" for reason, number in found.left_out.most_common()]


def _summary(out: Path, found: TrainingSet) -> list[str]:
    each = np.bincount(found.labels, minlength=len(HIRAGANA)).tolist()
    counts = zip(HIRAGANA.items(), each, strict=True)
    lines = [f"  {hiragana} {romaji:<4} {number:,}" for (romaji, hiragana), number in counts]
    return [f"{out}: {len(found.labels):,} images", *lines]


if __name__ == "__main__":
    sys.exit(main())
