"""`seldon-kafka acls ROLE User:NAME` prints the commands that grant the rights of a role."""

from __future__ import annotations

import argparse
import shlex
import sys

from seldon_kafka.config.rights import GROUP, ROLES, TOPIC, TRANSACTIONAL_ID, Right
from seldon_kafka.config.settings import load_settings
from seldon_kafka.errors import UsageError

_EXAMPLES = """
examples:
  seldon-kafka acls worker User:model          grant the rights of a worker to a user
  seldon-kafka acls producer User:CN=camera    grant those of a producer to a certificate's name

Names come from KAFKA_INPUT_TOPIC, KAFKA_OUTPUT_TOPIC, KAFKA_DEAD_LETTER_TOPIC,
KAFKA_FEEDBACK_TOPIC, KAFKA_LOG_TOPIC and KAFKA_GROUP_ID. A worker has rights for the request log
only if KAFKA_LOG_REQUESTS is on.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments to the parser."""
    parser.description = "Prints the kafka-acls.sh commands that grant the rights of a role."
    parser.epilog = _EXAMPLES
    parser.add_argument("role", choices=list(ROLES), metavar="ROLE", help=", ".join(ROLES))
    parser.add_argument("principal", metavar="User:NAME", help="the principal that gets the rights")
    parser.set_defaults(run=_print)


def _print(options: argparse.Namespace) -> int:
    """Prints the commands that grant a role's rights."""
    settings = load_settings()
    if not options.principal.startswith("User:"):
        raise UsageError(f"write the principal as User:{options.principal}")
    for right in ROLES[options.role](settings):
        sys.stdout.write(_command(right, options.principal, settings.broker) + "\n")
    return 0


def _command(right: Right, principal: str, broker: str) -> str:
    option = {TOPIC: "--topic", GROUP: "--group", TRANSACTIONAL_ID: "--transactional-id"}
    words = ["kafka-acls.sh", "--bootstrap-server", broker or "localhost:9092", "--add"]
    words += ["--allow-principal", principal, "--operation", right.operation]
    words += [option[right.resource], right.name]
    if right.prefixed:
        words += ["--resource-pattern-type", "prefixed"]
    return shlex.join(words)
