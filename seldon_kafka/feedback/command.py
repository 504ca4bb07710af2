"""`seldon-kafka feedback`: sends and lists feedback."""

from __future__ import annotations

import argparse
import json
import sys
import time

from seldon_kafka.codec.feedback import BadFeedback, Feedback, read
from seldon_kafka.config.arguments import add_action
from seldon_kafka.config.refusal import one_shot_client
from seldon_kafka.errors import CommandError, UsageError
from seldon_kafka.feedback.writer import FeedbackWriter
from seldon_kafka.messages import JsonObject
from seldon_kafka.transport.snapshot import Snapshot
from seldon_kafka.transport.topic_writer import NotWritten

_EXAMPLES = """
examples:
  seldon-kafka feedback send 5f3a --truth ki             one row with its correct label
  seldon-kafka feedback send 5f3a --truth ki --truth o   two rows
  seldon-kafka feedback send 5f3a --reward 0.5
  seldon-kafka feedback list | tail -1

The `puid` of a reply is in its `meta`. Brokers and topic come from KAFKA_BROKER and
KAFKA_FEEDBACK_TOPIC. If a reply has several feedback messages, the latest one counts.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments to the parser."""
    parser.description = "Sends feedback on a reply, or lists feedback."
    parser.epilog = _EXAMPLES
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    send = add_action(actions, "send", _EXAMPLES, help="write feedback on one reply to the topic")
    send.add_argument("puid", help="`meta.puid` of the reply")
    send.add_argument(
        "--truth",
        action="append",
        default=[],
        metavar="LABEL",
        help="correct label of a row; repeat it for each row",
    )
    send.add_argument("--reward", type=float, help="how good the reply was, as a number")
    send.set_defaults(run=_send)
    listed = add_action(
        actions, "list", _EXAMPLES, help="print the feedback on the topic, one JSON object per line"
    )
    listed.set_defaults(run=_list)


def _send(options: argparse.Namespace) -> int:
    if not options.truth and options.reward is None:
        raise UsageError("no feedback is given: use --truth LABEL or --reward NUMBER")
    feedback = Feedback(
        options.puid, tuple(options.truth), options.reward or 0.0, given_ms=int(1000 * time.time())
    )
    with one_shot_client() as settings, FeedbackWriter(settings) as writer:
        try:
            writer.send(feedback)
        except BadFeedback as error:
            raise UsageError(str(error)) from error
        except NotWritten as error:
            raise CommandError(str(error)) from error
    return 0


def _list(_: argparse.Namespace) -> int:
    unreadable = 0
    with one_shot_client() as settings, Snapshot(settings, "corrections") as snapshot:
        for record in snapshot.everything(settings.feedback_topic):
            try:
                found = read(record, settings.max_message_bytes)
            except BadFeedback as error:
                unreadable += 1
                where = f"{record.partition}:{record.offset}"
                sys.stderr.write(f"skipped {where}: {error}\n")
                continue
            sys.stdout.write(json.dumps(_as_json(found), ensure_ascii=False) + "\n")
    return 1 if unreadable else 0


def _as_json(feedback: Feedback) -> JsonObject:
    document: JsonObject = {"puid": feedback.puid, "truth": list(feedback.truth)}
    return {**document, "reward": feedback.reward, "given_ms": feedback.given_ms}
