"""Sends all objects of a storage location: `python -m producer LOCATION --run NAME`."""

from __future__ import annotations

import argparse
import sys

from producer.delivery import deliver
from producer.formats import FORMATS, FormatError
from producer.locations import open_location
from producer.objects import Objects
from producer.results import Results
from seldon_kafka.config.refusal import admitted
from seldon_kafka.config.settings import Settings

# Maximum size of the client's queue in KiB. The default of 1 GiB is not needed, because objects are
# not read much faster than they are sent.
_QUEUE_KBYTES = 64 * 1024
# Maximum number of lines about objects that are no pictures.
_REPORTS = 20
# Options that do not apply to objects: each object is one message, and its name is the key.
_NOT_FOR_OBJECTS = (
    "split", "samples", "loop", "bad", "key", "stdout", "headers", "print_command",
)  # fmt: skip


def sends_objects(options: argparse.Namespace) -> bool:
    """Returns whether the options select the objects of a location.

    Raises:
        FormatError: another option cannot be combined with objects, there is not exactly one
            location, or `--results` is given without `--run`.
    """
    if options.run is None:
        if options.results is not None:
            raise FormatError("--results needs --run")
        if not any("://" in each for each in options.pictures):
            return False
    if len(options.pictures) != 1:
        raise FormatError("give one folder or one s3://bucket/prefix, whose objects are sent")
    given = [name for name in _NOT_FOR_OBJECTS if getattr(options, name)]
    if given or options.batch > 1:
        name = given[0].replace("_", "-") if given else "batch"
        raise FormatError(
            f"--{name} cannot be combined with --run or s3://: each object is one message, and "
            "its name is the key"
        )
    return True


def send_objects(options: argparse.Namespace, settings: Settings) -> int:
    """Sends the objects of a location, except those with a row in the results.

    Returns:
        0 if every message was acknowledged, 1 if not, 130 after Ctrl-C. Without a run, also 1 if an
        object is no picture. With a run, such an object gets a row with the reason in the results.

    Raises:
        producer.locations.LocationError: the objects or the results cannot be read.
        producer.send.SendError: the topic cannot be written.
    """
    admitted(settings)
    location = open_location(options.pictures[0])
    done: set[str] = set()
    if options.results is not None:
        done = Results.of_run(options.results, options.run, location).new_objects()
    objects = Objects(location, FORMATS[options.format], options.run, done, _PictureReport())
    tally = deliver(
        options,
        settings,
        f"objects of {location.address}",
        objects.messages(options.count),
        None,
        queue_buffering_max_kbytes=_QUEUE_KBYTES,
    )
    if objects.skipped:
        sys.stderr.write(f"  {objects.skipped} skipped: they have a row in the results\n")
    if objects.unreadable:
        note = ": the results will have the reasons" if options.run else ""
        sys.stderr.write(f"  {objects.unreadable} are no pictures{note}\n")
    if objects.error is not None:
        raise objects.error
    if tally.interrupted:
        return 130
    # With a run, objects that are no pictures have a message too, and another try would not help.
    lost = 0 if options.run else objects.unreadable
    return 0 if tally.complete and not lost else 1


class _PictureReport:
    """Prints a line for each of the first `_REPORTS` objects that are no pictures."""

    def __init__(self) -> None:
        self._left = _REPORTS

    def __call__(self, reason: str) -> None:
        if self._left > 0:
            sys.stderr.write(f"no picture: {reason}\n")
        elif self._left == 0:
            sys.stderr.write("more objects are no pictures; the summary has their number\n")
        self._left -= 1
