"""`seldon-kafka dead-letters`: list, show, replay and purge dead letters."""

from __future__ import annotations

import argparse
import logging
import time
from typing import Any, Callable, Optional

from seldon_kafka.config.arguments import add_action, positive_integer
from seldon_kafka.config.refusal import one_shot_client
from seldon_kafka.config.settings import Settings
from seldon_kafka.dead_letters import actions
from seldon_kafka.dead_letters.letters import parse_position
from seldon_kafka.dead_letters.replay import ATTEMPTS
from seldon_kafka.dead_letters.selection import parse_time
from seldon_kafka.messages import Json

EXAMPLES = """\
examples:
  seldon-kafka dead-letters list --reason bad_shape --since 2h
  seldon-kafka dead-letters list --waiting --limit 0 --json
  seldon-kafka dead-letters show 3:17 --class wrapper.KmnistClassifier
  seldon-kafka dead-letters replay --reason predict_failed --dry-run
  seldon-kafka dead-letters replay 3:17 3:18
  seldon-kafka dead-letters purge --replayed --until 30d

exit status: 0 success; 1 no letter was found, some letters were left out (stderr has the reasons),
or the brokers don't answer; 2 wrong use; 130 Ctrl-C.
"""
_REPLAY = """\
Sends dead letters to their original topic and partition, with their key, value and headers. Each
letter is sent exactly once, and a marker in the dead-letter topic records this. So an interrupted
replay can be run again. A new replay ends any other replay of the same dead-letter topic.

The timestamp of a replayed message is the time of the replay. With the original timestamp,
retention could delete the message before it is read. Two headers are added: kafka-dead-attempts,
the number of replays, and kafka-input-timestamp, the time of the first sending. The reply has both.
If the message is rejected again, the new dead letter has both too.
"""
_PURGE = """\
Deletes dead letters for good. Kafka deletes only from the start of a partition. So a selected
letter is deleted only if all letters before it are selected too. The output counts selected
letters that stay.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments to the parser."""
    parser.description = "Lists, shows, replays and purges dead letters."
    parser.epilog = EXAMPLES
    actions = parser.add_subparsers(metavar="ACTION", required=True)

    def add(name: str, help_text: str, description: Optional[str] = None) -> Json:
        return add_action(actions, name, EXAMPLES, help=help_text, description=description)

    _add_list(add("list", "list dead letters with their reasons"))
    _add_show(add("show", "show one dead letter and its payload"))
    _add_replay(add("replay", "send dead letters to the input topic again", _REPLAY))
    _add_purge(add("purge", "delete dead letters for good", _PURGE))


def _run(action: Callable[[Settings, Any], int]) -> Callable[[argparse.Namespace], int]:
    def run(options: argparse.Namespace) -> int:
        # A replay uses the producer of workers, and the log of this producer does not help here.
        logging.getLogger("seldon_kafka.worker").setLevel(logging.CRITICAL)
        with one_shot_client() as settings:
            return action(settings, options)

    return run


def _add_list(parser: argparse.ArgumentParser) -> None:
    _add_selection(parser)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--replayed", action="store_true", help="only letters that were replayed")
    which.add_argument("--waiting", action="store_true", help="only letters that were not replayed")
    parser.add_argument("--json", action="store_true", help="print one JSON object per line")
    parser.add_argument(
        "--limit",
        type=_natural,
        default=50,
        metavar="N",
        help="list the newest N; 0 lists all (50)",
    )
    parser.set_defaults(run=_run(actions.list_letters))


def _add_show(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "position",
        type=_position,
        metavar="PARTITION:OFFSET",
        help="position of the letter, as `list` shows it",
    )
    parser.add_argument(
        "--class",
        dest="class_name",
        metavar="Module.Class",
        help="class whose `describe` shows the payload (MODEL_NAME)",
    )
    parser.set_defaults(run=_run(actions.show_letter))


def _add_replay(parser: argparse.ArgumentParser) -> None:
    _add_selection(parser)
    parser.add_argument("--all", action="store_true", help="select every letter")
    parser.add_argument(
        "--again", action="store_true", help="include letters that were replayed before"
    )
    parser.add_argument(
        "--attempts",
        type=positive_integer,
        default=ATTEMPTS,
        metavar="N",
        help=f"leave out letters with this many replays ({ATTEMPTS})",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="show what would be sent, and send nothing"
    )
    parser.set_defaults(run=_run(actions.replay_letters))


def _add_purge(parser: argparse.ArgumentParser) -> None:
    _add_selection(parser)
    parser.add_argument("--replayed", action="store_true", help="only letters that were replayed")
    parser.add_argument("--all", action="store_true", help="select every letter")
    parser.add_argument("--yes", action="store_true", help="do not ask for confirmation")
    parser.add_argument(
        "--dry-run", action="store_true", help="show what would be deleted, and delete nothing"
    )
    parser.set_defaults(run=_run(actions.purge_letters))


def _add_selection(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("selection (letters that meet every condition)")
    group.add_argument(
        "positions",
        type=_position,
        nargs="*",
        metavar="PARTITION:OFFSET",
        help="positions, as `list` shows them",
    )
    group.add_argument(
        "--reason", action="append", default=[], metavar="WORD", help="reason word; may be repeated"
    )
    time_help = "rejected %s TIME: 90s, 2h, 7d ago, or 2024-05-31T12:30 (local time, or with Z)"
    group.add_argument("--since", type=_time, metavar="TIME", help=time_help % "at or after")
    group.add_argument("--until", type=_time, metavar="TIME", help=time_help % "before")
    group.add_argument(
        "--key", action="append", default=[], metavar="TEXT", help="message key; may be repeated"
    )
    group.add_argument(
        "--partition",
        action="append",
        default=[],
        type=_natural,
        metavar="N",
        help="partition of the input topic; may be repeated",
    )


def _natural(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative")
    return number


def _position(text: str) -> Json:
    try:
        return parse_position(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _time(text: str) -> int:
    try:
        return parse_time(text, int(time.time() * 1000))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
