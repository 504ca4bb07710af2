"""All objects of a folder or a bucket: `python -m producer LOCATION --run NAME`."""

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

# Objects are not read much faster than they are sent; the client's own queue would take 1 GiB.
_QUEUE_KBYTES = 64 * 1024
_REPORTS = 20
# What makes no sense for objects: each is one message, and its key is its name.
_NOT_FOR_OBJECTS = (
    "split", "samples", "loop", "bad", "key", "stdout", "headers", "print_command",
)  # fmt: skip


def is_of_objects(options: argparse.Namespace) -> bool:
    """Whether objects of a location are to be sent, which are read while others are sent.

    Raises:
        FormatError: Other options don't go with that.
    """
    if options.run is None:
        if options.results is not None:
            raise FormatError("--results goes with --run")
        if not any("://" in each for each in options.pictures):
            return False
    if len(options.pictures) != 1:
        raise FormatError("name one folder or one s3://bucket/prefix, whose objects are sent")
    given = [name for name in _NOT_FOR_OBJECTS if getattr(options, name)]
    if given or options.batch > 1:
        name = given[0].replace("_", "-") if given else "batch"
        raise FormatError(
            f"--{name} does not go with --run or s3://: each object is one message, and its "
            "name is the key"
        )
    return True


def send_objects(options: argparse.Namespace, settings: Settings) -> int:
    """Send what is in the location, but for what has a row in the results.

    Returns:
        0 if every message was acknowledged, 1 if not, 130 after Ctrl-C. Objects that are no
        pictures make it 1 where there is no run, whose results have their reasons.

    Raises:
        producer.locations.LocationError: The objects or the results can't be read.
        producer.send.SendError: The topic can't be written to.
    """
    admitted(settings)
    location = open_location(options.pictures[0])
    done: set[str] = set()
    if options.results is not None:
        done = Results.of_run(options.results, options.run, location).new_objects()
    objects = Objects(location, FORMATS[options.format], options.run, done, _Reports())
    every = objects.messages(options.count)
    what = f"objects of {location.address}"
    tally = deliver(options, settings, what, every, None, queue_buffering_max_kbytes=_QUEUE_KBYTES)
    if objects.left_out:
        sys.stderr.write(f"  {objects.left_out} left out: they have a row in the results\n")
    if objects.unreadable:
        told = ": the results will have their reasons" if options.run else ""
        sys.stderr.write(f"  {objects.unreadable} are no pictures{told}\n")
    if objects.trouble is not None:
        raise objects.trouble
    if tally.interrupted:
        return 130
    # Those of a run are sent, as what they are: to try them again would not help.
    lost = 0 if options.run else objects.unreadable
    return 0 if tally.complete and not lost else 1


class _Reports:
    """Tells of the first objects that are no pictures; there may be very many."""

    def __init__(self) -> None:
        self._left = _REPORTS

    def __call__(self, reason: str) -> None:
        if self._left > 0:
            sys.stderr.write(f"skipped {reason}\n")
        elif self._left == 0:
            sys.stderr.write("skipped more, which are counted at the end\n")
        self._left -= 1
