"""`seldon-kafka topics`: creates and shows topics, and adds partitions."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import List

from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient
from rich.console import Console

from seldon_kafka.config.arguments import add_action, positive_integer
from seldon_kafka.config.clients import admin_config, consumer_config
from seldon_kafka.config.refusal import one_shot_client
from seldon_kafka.config.settings import Settings
from seldon_kafka.topics.manage import add_partitions, broker_count, create
from seldon_kafka.topics.report import report, show
from seldon_kafka.topics.wanted import PARTITIONS, wanted_topics

_EXAMPLES = """
examples:
  seldon-kafka topics create           input, output, dead-letter and feedback topic
  KAFKA_LOG_REQUESTS=on seldon-kafka topics create   the request log, too
  seldon-kafka topics show                    partitions, and the lag of the group
  seldon-kafka topics show --json | jq .lag
  seldon-kafka topics add-partitions 24       24 partitions for each topic

Names and brokers come from KAFKA_BROKER, KAFKA_INPUT_TOPIC, KAFKA_OUTPUT_TOPIC,
KAFKA_DEAD_LETTER_TOPIC, KAFKA_FEEDBACK_TOPIC, KAFKA_LOG_TOPIC and KAFKA_GROUP_ID.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments to the parser."""
    parser.description = (
        "Creates and shows the topics that workers read and write, and adds partitions to them."
    )
    parser.epilog = _EXAMPLES
    parser.set_defaults(run=_run_as_client)
    commands = parser.add_subparsers(dest="action", required=True, metavar="COMMAND")
    create_parser = add_action(
        commands, "create", _EXAMPLES, help="create missing topics; existing ones stay as they are"
    )
    create_parser.add_argument(
        "--partitions",
        type=positive_integer,
        default=PARTITIONS,
        metavar="N",
        help="partitions of each new topic (%(default)s)",
    )
    create_parser.add_argument(
        "--replication",
        type=positive_integer,
        metavar="N",
        help="replicas of each partition; as many as brokers unless given, at most 3",
    )
    show_parser = add_action(
        commands, "show", _EXAMPLES, help="partitions, leaders, offsets and the group's lag"
    )
    show_parser.add_argument("--json", action="store_true", help="print JSON")
    show_parser.add_argument(
        "--group", help="group whose lag is shown; KAFKA_GROUP_ID unless given"
    )
    partitions_parser = add_action(
        commands,
        "add-partitions",
        _EXAMPLES,
        help="add partitions to topics",
        description="Adds partitions to topics. New messages of a key may then go to another "
        "partition than before. Messages of one key are in order again once all messages that "
        "were sent before the change are answered.",
    )
    partitions_parser.add_argument(
        "partitions", type=positive_integer, metavar="N", help="new number of partitions"
    )
    partitions_parser.add_argument(
        "--topic", action="append", help="change this topic only; may be repeated"
    )


def _run_as_client(options: argparse.Namespace) -> int:
    with one_shot_client() as settings:
        return _run(options, settings)


def _run(options: argparse.Namespace, settings: Settings) -> int:
    names = list(settings.topics)
    if options.action == "show":
        return _show(settings, names, options.group or settings.group_id, options.json)
    admin = AdminClient(admin_config(settings))
    if options.action == "create":
        return _create(options, settings, admin)
    changed = add_partitions(admin, options.topic or names, options.partitions)
    for name in options.topic or names:
        done = "now has" if name in changed else "had already"
        sys.stdout.write(f"{name} {done} {options.partitions} partitions\n")
    return 0


def _create(options: argparse.Namespace, settings: Settings, admin: AdminClient) -> int:
    brokers = broker_count(admin)
    wanted = wanted_topics(settings, brokers, options.partitions, options.replication)
    for result in create(admin, wanted):
        topic = result.topic
        if result.created:
            sys.stdout.write(
                f"{topic.name}: created, {topic.partitions} partitions, "
                f"replication {topic.replication}\n"
            )
            continue
        sys.stdout.write(f"{topic.name}: exists, unchanged\n")
        for difference in result.differences:
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
        show(reports, group, Console(highlight=False))
    return 0 if all(topic.partitions is not None for topic in reports) else 1
