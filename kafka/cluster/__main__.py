"""`python -m kafka.cluster` runs Apache Kafka on this machine."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
from pathlib import Path

from kafka.cluster.address import cluster_folder
from kafka.cluster.console import TOOLS, split_tool, tool_command
from kafka.cluster.local import Cluster
from kafka.cluster.state import SECURITY, ClusterError
from kafka.cluster.view import LiveProgress, show_status
from seldon_kafka.config.arguments import positive_integer
from seldon_kafka.config.rights import ROLES
from seldon_kafka.config.settings import SettingsError, load_settings

_EXAMPLES = """
examples:
  python -m kafka.cluster up                  one broker, or the same cluster as before
  python -m kafka.cluster up --brokers 3      tolerates the failure of any one broker
  python -m kafka.cluster up --security sasl_ssl
  eval "$(python -m kafka.cluster environment)"
                                              variables for the operator's clients
  eval "$(python -m kafka.cluster user camera --role producer)"
                                              variables for a user with fewer rights
  python -m kafka.cluster status
  python -m kafka.cluster console-consumer --topic model_output --from-beginning
  python -m kafka.cluster kill 2              SIGKILL; `up` starts the broker again
  python -m kafka.cluster down --delete       stop, and delete all records
"""


def main(arguments: list[str] | None = None) -> int:
    """Runs one command.

    Returns:
        Exit status: 0 after success, 1 after an error or if `status`, `up` or `add` finds a dead
        node, 2 for wrong settings, 130 after Ctrl-C or SIGTERM.

    Raises:
        SystemExit: the arguments are wrong (exit status 2), or ask for help (0).
    """
    own, tool_arguments = split_tool(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(own)
    folder = cluster_folder(options.folder)
    try:
        return _run(options, tool_arguments, folder)
    except SettingsError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except ClusterError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; `python -m kafka.cluster status` shows the running nodes\n")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m kafka.cluster",
        description="Run Apache Kafka on this machine, with Java from pip and Kafka from Maven.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--folder",
        type=Path,
        help="folder of the cluster (KAFKA_CLUSTER_DIR, else .cluster)",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="start the cluster, or its missing brokers")
    up.add_argument(
        "--brokers", type=positive_integer, metavar="N", help="number of brokers (1, or as before)"
    )
    up.add_argument(
        "--port", type=positive_integer, metavar="P", help="port of the first broker (a free one)"
    )
    up.add_argument(
        "--security",
        choices=SECURITY,
        help="security protocol of clients (plaintext, or as before)",
    )
    up.add_argument(
        "--host", metavar="H", help="address that a new cluster's brokers listen on (127.0.0.1)"
    )
    commands.add_parser(
        "environment",
        help="print the variables for the operator's clients, the password included, for `eval`",
    )
    user = commands.add_parser(
        "user",
        help="create a user if it is new, and print the variables for its clients, for `eval`",
        description="Create a user of a secured cluster if it is new, and print the variables for "
        "its clients. The user gets the rights of the given roles. The README lists these rights.",
    )
    user.add_argument("name", metavar="NAME")
    user.add_argument(
        "--role", action="append", default=[], choices=ROLES, help="may be given several times"
    )
    status = commands.add_parser(
        "status", help="show the nodes, and whether the cluster tolerates a broker's failure"
    )
    status.add_argument("--json", action="store_true", help="print JSON")
    down = commands.add_parser("down", help="stop the cluster and keep its records")
    down.add_argument("--delete", action="store_true", help="delete the records")
    commands.add_parser("add", help="add one broker and move its share of partitions to it")
    kill = commands.add_parser("kill", help="end one broker with SIGKILL")
    kill.add_argument("node", type=positive_integer, metavar="N")
    for tool in TOOLS:
        commands.add_parser(tool, help=f"run Kafka's {tool} with the given arguments")
    return parser


def _run(options: argparse.Namespace, tool_arguments: list[str], folder: Path) -> int:
    if options.command == "status":
        return show_status(Cluster(folder), as_json=options.json)
    if options.command == "environment":
        return _print_exports(Cluster(folder).client_environment())
    if options.command == "user":
        settings = load_settings()
        rights = [right for role in options.role for right in ROLES[role](settings)]
        return _print_exports(Cluster(folder).user(options.name, rights))
    if options.command in TOOLS:
        with LiveProgress() as progress:
            command = tool_command(options.command, tool_arguments, folder, progress)
        # The tool replaces this process. So the tool gets the signals, and its exit status is that
        # of this command.
        os.execv(command[0], command)  # noqa: S606
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with LiveProgress() as progress:
        if options.command == "up":
            Cluster.start(
                folder, options.brokers, options.port, progress, options.security, options.host
            )
        elif options.command == "add":
            Cluster(folder, progress).add()
        elif options.command == "kill":
            Cluster(folder, progress).kill(options.node)
            progress.message(
                f"node {options.node} is dead; `python -m kafka.cluster up` starts it again"
            )
            return 0
        elif options.command == "down":
            stopped = Cluster(folder, progress).down(delete=options.delete)
            progress.message(f"stopped {stopped}" if stopped else "no node was running")
            return 0
    return show_status(Cluster(folder), as_json=False)


def _print_exports(environment: dict[str, str]) -> int:
    for variable, value in environment.items():
        sys.stdout.write(f"export {variable}={shlex.quote(value)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
