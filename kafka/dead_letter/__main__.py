"""`python -m kafka.dead_letter`: list, explain and replay what could not be answered."""

from __future__ import annotations

import argparse
import collections
import json
import logging
import os
import sys
import time
from typing import Any, List, Optional, Tuple

from confluent_kafka import KafkaException

from kafka.codec import decode
from kafka.dead_letter.letters import Letter, read_letter, replayed_place, unread
from kafka.dead_letter.mailbox import MailboxError, read_all, replay
from kafka.reasons import REASONS, Rejected
from kafka.refusal import admitted
from kafka.served_class import ClassNotUsable, load_class
from kafka.settings import Settings, SettingsError, load_settings

EXAMPLES = """\
examples:
  python -m kafka.dead_letter list
  python -m kafka.dead_letter list --reason bad_shape --json
  python -m kafka.dead_letter explain 3:17
  python -m kafka.dead_letter replay --reason predict_failed
  python -m kafka.dead_letter replay 3:17 3:18
"""


def main(arguments: Optional[List[str]] = None) -> int:
    """Runs one command.

    Returns:
        Exit status: 0 when done, 1 when there was nothing to do or the brokers don't answer,
        2 on wrong use, 130 on Ctrl-C.
    """
    options = _parser().parse_args(arguments)
    # What the client retries by itself is no news to whoever asked for one thing.
    logging.getLogger("kafka.client").setLevel(logging.CRITICAL)
    try:
        settings = admitted(load_settings())
        return int(options.run(settings, options))
    except SettingsError as error:
        return _say(f"error: {error}", 2)
    except MailboxError as error:
        return _say(f"error: {error}", 1)
    except KafkaException as error:
        return _say(f"error: {error.args[0].str()}", 1)
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m kafka.dead_letter",
        description="Lists, explains and replays dead letters.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    listing = commands.add_parser("list", help="what is there, and why")
    listing.add_argument("--json", action="store_true", help="one JSON object a line")
    listing.add_argument("--limit", type=int, default=50, help="newest letters to show (50)")
    listing.set_defaults(run=_list)
    explaining = commands.add_parser("explain", help="all about one letter")
    explaining.add_argument("place", metavar="PARTITION:OFFSET", help="as `list` shows it")
    explaining.add_argument(
        "--class",
        dest="class_name",
        default=os.environ.get("MODEL_NAME"),
        metavar="Module.Class",
        help="shows the payload through this class's `describe`; MODEL_NAME unless given",
    )
    explaining.set_defaults(run=_explain)
    replaying = commands.add_parser("replay", help="send letters to the input topic again")
    replaying.add_argument("places", metavar="PARTITION:OFFSET", nargs="*", help="these letters")
    replaying.add_argument("--all", action="store_true", help="all that were not replayed yet")
    replaying.add_argument("--again", action="store_true", help="also what was replayed before")
    replaying.set_defaults(run=_replay)
    for command in (listing, replaying):
        command.add_argument("--reason", help="only letters with this reason word")
    return parser


def _say(text: str, status: int) -> int:
    print(text, file=sys.stderr)
    return status


def _read(settings: Settings) -> Tuple[List[Letter], List[str]]:
    letters, replayed = [], []
    for record in read_all(settings):
        letter = read_letter(record)
        if letter is not None:
            letters.append(letter)
        else:
            place = replayed_place(record)
            if place is not None:
                replayed.append(place)
    letters.sort(key=lambda item: item.record.timestamp_ms)
    return letters, replayed


def _list(settings: Settings, options: Any) -> int:
    letters, replayed = _read(settings)
    if options.reason:
        letters = [letter for letter in letters if letter.reason == options.reason]
    shown = letters[-options.limit :] if options.limit > 0 else letters
    done = set(replayed)
    for letter in shown:
        if options.json:
            print(json.dumps({**letter.as_dict(), "replayed": letter.place in done}))
        else:
            _print_line(letter, letter.place in done)
    if not options.json:
        _print_summary(letters, len(shown))
    return 0


def _print_line(letter: Letter, replayed: bool) -> None:
    topic, partition, offset = letter.source
    mark = " (replayed)" if replayed else ""
    print(
        f"{letter.place:>9}  {_when(letter.record.timestamp_ms)}  {letter.reason:<20} "
        f"{topic}/{partition}/{offset}  {letter.message}{mark}"
    )


def _print_summary(letters: List[Letter], shown: int) -> None:
    if not letters:
        print("no dead letters")
        return
    counts = collections.Counter(letter.reason for letter in letters)
    kinds = ", ".join(f"{count} {reason}" for reason, count in counts.most_common())
    older = f"; the newest {shown} are shown, --limit 0 shows all" if shown < len(letters) else ""
    print(f"{len(letters)} dead letters: {kinds}{older}")


def _when(timestamp_ms: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(timestamp_ms / 1000))


def _explain(settings: Settings, options: Any) -> int:
    letters, replayed = _read(settings)
    letter = next((item for item in letters if item.place == options.place), None)
    if letter is None:
        return _say(f"error: no dead letter stands at {options.place}; `list` shows them", 1)
    original = letter.original()
    topic, partition, offset = letter.source
    print(f"reason    {letter.reason}: {letter.message}")
    print(f"advice    {REASONS.get(letter.reason, 'This reason is one of the class itself.')}")
    print(f"from      {topic} partition {partition} offset {offset}")
    print(f"sent      {_when(letter.sent_ms) if letter.sent_ms >= 0 else 'without a timestamp'}")
    print(f"rejected  {_when(letter.record.timestamp_ms)} by {letter.worker}")
    print(f"replayed  {'yes' if letter.place in replayed else 'no'}")
    print(f"key       {original.key!r}")
    for name, value in original.headers:
        print(f"header    {name}: {value!r}")
    length = len(original.value or b"")
    cut = f" of {letter.cut_from}; the rest was cut to fit" if letter.cut_from else ""
    print(f"value     {length} bytes{cut}")
    print(_payload_text(letter, options.class_name))
    return 0


def _payload_text(letter: Letter, class_name: Optional[str]) -> str:
    original = letter.original()
    try:
        payload: Any = decode(original, sys.maxsize).payload.data
    except Rejected:
        return repr((original.value or b"")[:400])
    if class_name is None:
        return repr(payload)[:400]
    try:
        return load_class(class_name).describe(payload)
    except ClassNotUsable as error:
        return f"{payload!r:.400}\n(not described: {error})"


def _replay(settings: Settings, options: Any) -> int:
    if not options.places and not options.all and not options.reason:
        return _say("error: which letters? PARTITION:OFFSET …, --reason WORD or --all", 2)
    letters, replayed = _read(settings)
    known = {letter.place for letter in letters}
    missing = [place for place in options.places if place not in known]
    if missing:
        return _say(f"error: no dead letter stands at {', '.join(missing)}", 1)
    chosen = letters if options.again else unread(letters, replayed)
    if options.places:
        chosen = [letter for letter in chosen if letter.place in options.places]
    if options.reason:
        chosen = [letter for letter in chosen if letter.reason == options.reason]
    for letter in chosen:
        if letter.cut_from:
            _say(f"left out: {letter.place} was cut, its end is lost", 0)
    chosen = [letter for letter in chosen if not letter.cut_from]
    if not chosen:
        return _say("nothing to replay", 1)
    count = replay(settings, chosen)
    print(f"replayed {count} dead letter{'s' if count != 1 else ''}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
