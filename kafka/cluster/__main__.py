"""The command line of the local cluster."""

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
  python -m kafka.cluster up                  one broker, or whatever ran before
  python -m kafka.cluster up --brokers 3      survives the death of any broker
  python -m kafka.cluster up --security sasl_ssl
  eval "$(python -m kafka.cluster environment)"
                                              what the operator's clients need
  eval "$(python -m kafka.cluster user camera --role producer)"
                                              what one needs that may do no more
  python -m kafka.cluster status
  python -m kafka.cluster console-consumer --topic model_output --from-beginning
  python -m kafka.cluster kill 2              as a power cut would; `up` mends it
  python -m kafka.cluster down --delete       stop, and forget all records
"""


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 if it did what was asked, 1 if not, 2 for wrong settings, 130 after Ctrl-C.
    """
    ours, theirs = split_tool(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(ours)
    folder = cluster_folder(options.folder)
    try:
        return _run(options, theirs, folder)
    except SettingsError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except ClusterError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; nothing that this command started is left running\n")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m kafka.cluster",
        description="Apache Kafka on this machine, from pip alone.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--folder",
        type=Path,
        help="where the cluster keeps everything (KAFKA_CLUSTER_DIR, else .cluster)",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="start the cluster, or what is missing of it")
    up.add_argument(
        "--brokers", type=positive_integer, metavar="N", help="how many (1, or as before)"
    )
    up.add_argument(
        "--port", type=positive_integer, metavar="P", help="of the first broker (a free one)"
    )
    up.add_argument(
        "--security", choices=SECURITY, help="what clients must speak (plaintext, or as before)"
    )
    up.add_argument("--host", metavar="H", help="where a new cluster's brokers listen (127.0.0.1)")
    commands.add_parser(
        "environment", help="print what the operator's clients need, the password too, for `eval`"
    )
    user = commands.add_parser(
        "user",
        help="make a user, and print what its clients need, for `eval`",
        description="Make a user of a secured cluster, or find it, and print what its clients "
        "need. It may do what its roles need (the README has the table), and no more.",
    )
    user.add_argument("name", metavar="NAME")
    user.add_argument(
        "--role", action="append", default=[], choices=ROLES, help="may be given several times"
    )
    status = commands.add_parser("status", help="say what runs, and what would be survived")
    status.add_argument("--json", action="store_true", help="for programs")
    down = commands.add_parser("down", help="stop the cluster and keep its records")
    down.add_argument("--delete", action="store_true", help="do not keep them")
    commands.add_parser("add", help="add one broker and spread partitions over it")
    kill = commands.add_parser("kill", help="end one broker with SIGKILL")
    kill.add_argument("node", type=positive_integer, metavar="N")
    for tool in TOOLS:
        commands.add_parser(tool, help=f"Kafka's own {tool}, with the arguments given")
    return parser


def _run(options: argparse.Namespace, theirs: list[str], folder: Path) -> int:
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
            command = tool_command(options.command, theirs, folder, progress)
        os.execv(command[0], command)  # noqa: S606 - its signals and status are to be ours
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
            progress.say(f"node {options.node} is dead; `python -m kafka.cluster up` mends it")
            return 0
        elif options.command == "down":
            stopped = Cluster(folder, progress).down(delete=options.delete)
            progress.say(f"stopped {stopped}" if stopped else "nothing was running")
            return 0
    return show_status(Cluster(folder), as_json=False)


def _print_exports(environment: dict[str, str]) -> int:
    for variable, value in environment.items():
        sys.stdout.write(f"export {variable}={shlex.quote(value)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
