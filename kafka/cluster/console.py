"""Kafka's own console tools, pointed at the local cluster."""

from __future__ import annotations

import os
from pathlib import Path

from kafka.cluster.address import running_bootstrap
from kafka.cluster.distribution import get_distribution
from kafka.cluster.progress import Progress
from kafka.cluster.security import tool_arguments
from kafka.cluster.state import ClusterError, load_state

TOOLS: dict[str, str] = {
    "console-producer": "org.apache.kafka.tools.ConsoleProducer",
    "console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
}

_BOOTSTRAP = "--bootstrap-server"
_CONFIGS = ("--command-config", "--producer.config", "--consumer.config")
# Kafka's own logging of its tools: warnings, and none of it on standard output.
_LOGGING = """\
appender.err.type=Console
appender.err.name=err
appender.err.target=SYSTEM_ERR
appender.err.layout.type=PatternLayout
appender.err.layout.pattern=[%d] %p %m (%c)%n
rootLogger.level=WARN
rootLogger.appenderRef.err.ref=err
"""


def split_tool(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Part our own arguments from those of a tool, which are passed on as they are.

    Returns:
        What is ours, the tool's name included, and what is the tool's.
    """
    for at, argument in enumerate(arguments):
        if argument in TOOLS:
            return arguments[: at + 1], arguments[at + 1 :]
    return arguments, []


def tool_command(tool: str, arguments: list[str], folder: Path, progress: Progress) -> list[str]:
    """The command line of a console tool that talks to the local cluster.

    Args:
        tool: A name in ``TOOLS``.
        arguments: The tool's; the bootstrap servers are added if they are not there:
            ``KAFKA_BROKER``, else the local cluster. If they are those of the local
            cluster and that is secured, what it asks of clients is added too.
        folder: The cluster's folder.
        progress: Told about a download.

    Raises:
        ClusterError: There is no broker to talk to.
    """
    broker = _option(arguments, _BOOTSTRAP)
    if broker is None:
        broker = os.environ.get("KAFKA_BROKER") or running_bootstrap(folder)
        if broker is None:
            raise ClusterError(
                "no broker: start one with `python -m kafka.cluster up`, or set KAFKA_BROKER"
            )
        arguments = [_BOOTSTRAP, broker, *arguments]
    state = load_state(folder)
    if (
        state is not None
        and set(broker.split(",")) & set(state.bootstrap.split(","))
        and all(_option(arguments, name) is None for name in _CONFIGS)
    ):
        arguments = [*tool_arguments(folder, state), *arguments]
    folder.mkdir(parents=True, exist_ok=True)
    kafka = get_distribution(folder, progress)
    logging = folder / "tools-log4j2.properties"
    logging.write_text(_LOGGING, encoding="utf-8")
    return kafka.command(
        TOOLS[tool],
        *arguments,
        jvm=["-Xmx256m", f"-Dlog4j2.configurationFile={logging}"],
    )


def _option(arguments: list[str], name: str) -> str | None:
    """The value of an option, written `--name value` or `--name=value`, or None."""
    for at, argument in enumerate(arguments):
        if argument == name:
            return "".join(arguments[at + 1 : at + 2])
        if argument.startswith(name + "="):
            return argument[len(name) + 1 :]
    return None
