"""Runs Kafka's own console tools on the local cluster."""

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
# A log4j2 configuration: warnings and errors go to standard error, so that standard output has only
# records.
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
    """Separates the arguments of this command from the arguments of a console tool.

    Returns:
        The arguments up to the name of the tool, and the arguments after it. Without the name of a
        tool, all arguments and an empty list.
    """
    for index, argument in enumerate(arguments):
        if argument in TOOLS:
            return arguments[: index + 1], arguments[index + 1 :]
    return arguments, []


def tool_command(tool: str, arguments: list[str], folder: Path, progress: Progress) -> list[str]:
    """Returns the command line of a console tool that connects to the local cluster.

    Missing bootstrap servers are added: `KAFKA_BROKER`, or else those of the local cluster. If they
    belong to a secured local cluster, and the arguments name no configuration file of a client, the
    credentials are added too.

    Args:
        tool: a name in `TOOLS`.
        arguments: arguments of the tool.
        folder: folder of the cluster.
        progress: shows the download of Kafka, if it is needed.

    Raises:
        ClusterError: no broker is set and no local cluster runs, Java is missing, or the download
            failed.
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
    """Returns the value of an option, written `--name value` or `--name=value`; None without it."""
    for index, argument in enumerate(arguments):
        if argument == name:
            return "".join(arguments[index + 1 : index + 2])
        if argument.startswith(name + "="):
            return argument[len(name) + 1 :]
    return None
