"""The command `seldon-kafka`.

Each subcommand is a module with a function `configure`, which adds the subcommand's arguments to a
parser. It also sets the default `run`: the function that runs the subcommand and returns its exit
status. Only the module of the given subcommand is imported.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from typing import List, NamedTuple, Optional, Sequence

from seldon_kafka import __version__
from seldon_kafka.errors import CommandError

_EXAMPLES = """\
examples:
  seldon-kafka check MyModel                    try a user model without Kafka
  seldon-kafka topics create                    make the topics
  seldon-kafka worker MyModel                   answer messages until Ctrl-C
  seldon-kafka dead-letters list --since 2h     see what could not be answered
  seldon-kafka COMMAND --help                   arguments and examples of a command

Settings are environment variables: KAFKA_BROKER=host:port names the brokers. User models are looked
for in the current folder first, as in Seldon.

completion: eval "$(seldon-kafka --print-completion bash)" (or zsh, tcsh)
exit status: 0 success, 1 failure, 2 wrong use or settings, 130 Ctrl-C
"""
_SHELLS = ("bash", "zsh", "tcsh")


class _Command(NamedTuple):
    module: str
    help: str


_COMMANDS = {
    "worker": _Command("seldon_kafka.worker.command", "answer messages with a user model"),
    "serve": _Command(
        "seldon_kafka.supervisor.command", "run workers and Seldon's server, as the image does"
    ),
    "check": _Command("seldon_kafka.check", "try a user model, one message and many at a time"),
    "topics": _Command("seldon_kafka.topics.command", "create, show and widen topics"),
    "dead-letters": _Command(
        "seldon_kafka.dead_letters.command", "list, show, replay and purge dead letters"
    ),
    "request-log": _Command(
        "seldon_kafka.request_log.command", "write the request log to a search engine"
    ),
    "feedback": _Command(
        "seldon_kafka.feedback.command", "send or list feedback: which answers were right"
    ),
    "acls": _Command("seldon_kafka.acls", "print the access rights that a role needs"),
}


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Runs one subcommand, and prints a `CommandError` as one line.

    Args:
        arguments: command line without the program's name; that of the process by default.

    Returns:
        Exit status: 0 for success, 1 for failure, 2 for wrong settings, 130 for Ctrl-C, or another
        exit status that the subcommand documents.

    Raises:
        SystemExit: the arguments are wrong (exit status 2), or ask for help or the version (0).
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    _put_current_folder_first()
    try:
        if words and words[0].partition("=")[0] == "--print-completion":
            return _print_completion([*words[0].split("=")[1:], *words[1:]])
        options = _parser(words[:1]).parse_args(words)
        status = int(options.run(options))
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # The reader has closed the pipe, and buffered output would fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except CommandError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_status
    except KeyboardInterrupt:
        return 130


def _put_current_folder_first() -> None:
    """Puts the current folder first on `sys.path`, as `python -m` does."""
    folder = os.getcwd()  # noqa: PTH109 - sys.path holds texts
    if sys.path[0] not in ("", folder):
        sys.path.insert(0, folder)


def _parser(complete: Sequence[str]) -> argparse.ArgumentParser:
    """Returns a parser of the command line.

    Args:
        complete: names of the subcommands whose arguments are added. Only their modules are
            imported. Other words are ignored.
    """
    parser = argparse.ArgumentParser(
        prog="seldon-kafka",
        description="Serves a Seldon Python wrapper class between Kafka topics, exactly once and "
        "in order.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"seldon-kafka {__version__}")
    parser.add_argument(
        "--print-completion", choices=_SHELLS, help="print the completion of a shell and exit"
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, command in _COMMANDS.items():
        made = commands.add_parser(
            name, help=command.help, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        if name in complete:
            importlib.import_module(command.module).configure(made)
    return parser


def _print_completion(words: List[str]) -> int:
    import shtab

    parser = argparse.ArgumentParser(prog="seldon-kafka --print-completion")
    parser.add_argument("shell", choices=_SHELLS)
    shell = parser.parse_args(words).shell
    sys.stdout.write(shtab.complete(_parser(list(_COMMANDS)), shell) + "\n")
    return 0
