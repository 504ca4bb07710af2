"""The command line of the topics."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from dataclasses import asdict
from typing import Any, List, Optional

from confluent_kafka import Consumer, KafkaException
from confluent_kafka.admin import AdminClient

from seldon_kafka.config.arguments import positive_integer
from seldon_kafka.config.clients import admin_config, consumer_config
from seldon_kafka.config.refusal import admitted, explained
from seldon_kafka.config.settings import Settings, SettingsError, load_settings
from seldon_kafka.topics.manage import TopicError, add_partitions, broker_count, create
from seldon_kafka.topics.report import report
from seldon_kafka.topics.wanted import PARTITIONS, wanted_topics

_EXAMPLES = """
examples:
  python -m seldon_kafka.topics create           input, output, dead-letter and feedback topic
  KAFKA_LOG_REQUESTS=on python -m seldon_kafka.topics create   the request log, too
  python -m seldon_kafka.topics show                    where they and the workers stand
  python -m seldon_kafka.topics show --json | jq .lag
  python -m seldon_kafka.topics add-partitions 24       of all of them

Names and brokers come from KAFKA_BROKER, KAFKA_INPUT_TOPIC, KAFKA_OUTPUT_TOPIC,
KAFKA_DEAD_LETTER_TOPIC, KAFKA_FEEDBACK_TOPIC, KAFKA_LOG_TOPIC and KAFKA_GROUP_ID.
"""


def main(arguments: Optional[List[str]] = None) -> int:
    """Run one command.

    Returns:
        0 if it did what was asked, 1 if not, 2 for wrong settings, 130 after Ctrl-C.
    """
    options = _parser().parse_args(arguments)
    # What the client retries by itself is no news to whoever asked for one thing.
    logging.getLogger("seldon_kafka.client").setLevel(logging.CRITICAL)
    try:
        settings = load_settings()
        return _run(options, admitted(settings))
    except SettingsError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except TopicError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KafkaException as error:
        why = explained(error, admin_config(settings)).args[0].str()
        sys.stderr.write(f"error: the brokers at {settings.broker} do not answer: {why}\n")
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m seldon_kafka.topics",
        description="Make, show and widen the topics that workers read and write.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    make = commands.add_parser("create", help="make those that are missing; change none")
    make.add_argument("--partitions", type=positive_integer, default=PARTITIONS, metavar="N")
    make.add_argument(
        "--replication", type=positive_integer, metavar="N", help="as many as brokers, at most 3"
    )
    look = commands.add_parser("show", help="partitions, leaders, offsets and the group's lag")
    look.add_argument("--json", action="store_true", help="for programs")
    look.add_argument("--group", help="whose lag (KAFKA_GROUP_ID)")
    more = commands.add_parser(
        "add-partitions",
        help="give topics more partitions",
        description="Give topics more partitions. Keys then go to other partitions than "
        "before, so that messages of one key are in order again only when those sent "
        "before have been answered.",
    )
    more.add_argument(
        "partitions", type=positive_integer, metavar="N", help="how many there shall be"
    )
    more.add_argument("--topic", action="append", help="only this one (all)")
    return parser


def _run(options: argparse.Namespace, settings: Settings) -> int:
    names = list(settings.topics)
    if options.command == "show":
        return _show(settings, names, options.group or settings.group_id, options.json)
    admin = AdminClient(admin_config(settings))
    if options.command == "create":
        return _create(options, settings, admin)
    changed = add_partitions(admin, options.topic or names, options.partitions)
    for name in options.topic or names:
        done = "now has" if name in changed else "had already"
        sys.stdout.write(f"{name} {done} {options.partitions} partitions\n")
    return 0


def _create(options: argparse.Namespace, settings: Settings, admin: Any) -> int:
    brokers = broker_count(admin)
    wanted = wanted_topics(settings, brokers, options.partitions, options.replication)
    for made in create(admin, wanted):
        topic = made.topic
        if made.created:
            sys.stdout.write(
                f"{topic.name}: made, {topic.partitions} partitions, "
                f"replication {topic.replication}\n"
            )
            continue
        sys.stdout.write(f"{topic.name}: there already, left as it is\n")
        for difference in made.differences:
            sys.stdout.write(f"  it {difference}\n")
    return 0


def _show(settings: Settings, names: List[str], group: str, as_json: bool) -> int:
    consumer = Consumer(consumer_config(settings, group))
    try:
        reports = report(consumer, names)
    finally:
        consumer.close()
    if as_json:
        content = {
            "group": group,
            "lag": reports[0].lag,
            "topics": [asdict(topic) for topic in reports],
        }
        sys.stdout.write(json.dumps(content, indent=2) + "\n")
    else:
        # Here and not above: the image has no rich, and needs only `create`.
        from rich.console import Console

        from seldon_kafka.topics.view import show

        show(reports, group, Console(highlight=False))
    return 0 if all(topic.partitions is not None for topic in reports) else 1


if __name__ == "__main__":
    sys.exit(main())
