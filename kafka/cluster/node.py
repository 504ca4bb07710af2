"""Prepares and starts one node, and reads the errors in its logs."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from kafka.cluster.address import PROPERTIES_FILE, node_folder
from kafka.cluster.distribution import Distribution
from kafka.cluster.process import spawn
from kafka.cluster.properties import data_folder, logging_properties, server_properties
from kafka.cluster.security import broker_properties, scram_user, write_private
from kafka.cluster.state import ClusterError, ClusterState, Node

HEAP_MIB = 512
_DRAFT = "format-"


def prepare(folder: Path, state: ClusterState, node: Node, kafka: Distribution) -> None:
    """Writes the configuration of a node, and creates its data folder if it has none.

    Kafka's storage tool formats a temporary folder, which is then renamed. So an interrupted start
    leaves no incomplete data folder.

    Raises:
        ClusterError: the storage tool failed, or the credentials cannot be read.
    """
    home = node_folder(folder, node.id)
    home.mkdir(parents=True, exist_ok=True)
    data = data_folder(folder, node.id)
    security = broker_properties(folder, state)
    (home / "log4j2.properties").write_text(
        logging_properties("INFO", home / "server.log"), encoding="utf-8"
    )
    if not data.exists():
        for leftover in home.glob(_DRAFT + "*"):
            shutil.rmtree(leftover, ignore_errors=True)
        # Each temporary folder has a new name, because the tool of a killed start may still write
        # to its folder.
        draft = Path(tempfile.mkdtemp(prefix=_DRAFT, dir=home))
        properties = draft / PROPERTIES_FILE
        write_private(properties, server_properties(state, node, draft / "data", security))
        _format(state, node, kafka, properties, scram_user(folder, state))
        (draft / "data").rename(data)
        shutil.rmtree(draft)
    write_private(home / PROPERTIES_FILE, server_properties(state, node, data, security))


def launch(folder: Path, node: Node, kafka: Distribution) -> int:
    """Starts a prepared node, and returns its process id without waiting until it is ready."""
    home = node_folder(folder, node.id)
    command = kafka.command(
        "kafka.Kafka",
        str(home / PROPERTIES_FILE),
        jvm=[
            f"-Xmx{HEAP_MIB}m",
            "-XX:+ExitOnOutOfMemoryError",
            "-Dlog4j2.configurationFile={}".format(home / "log4j2.properties"),
        ],
    )
    return spawn(command, home / "console.log")


def configured_roles(folder: Path, node: Node) -> str:
    """Returns `process.roles` in the configuration with which a node was last started."""
    text = (node_folder(folder, node.id) / PROPERTIES_FILE).read_text(encoding="utf-8")
    return dict(line.partition("=")[::2] for line in text.splitlines())["process.roles"]


def node_error(folder: Path, node: Node, problem: str) -> ClusterError:
    """Returns an error with a problem of a node, and the last errors or lines of its logs."""
    home = node_folder(folder, node.id)
    lines: list[str] = []
    for name in ("server.log", "console.log"):
        lines += _last_lines(home / name)
    return ClusterError(
        "node {} {}; the end of server.log and console.log in {}:\n{}".format(
            node.id, problem, home, "\n".join("  " + line for line in lines)
        )
    )


def _format(
    state: ClusterState, node: Node, kafka: Distribution, properties: Path, user: str
) -> None:
    founders = [voter for voter in state.controllers if voter.directory_id is not None]
    arguments = ["format", "-t", state.cluster_id, "-c", str(properties)]
    if node in founders:
        quorum = ",".join(
            f"{voter.id}@127.0.0.1:{voter.controller_port}:{voter.directory_id}"
            for voter in founders
        )
        arguments += ["--initial-controllers", quorum]
        if user:
            arguments += ["--add-scram", user]
    else:
        arguments += ["--no-initial-controllers"]
    # Java reads the arguments from a file, so that the process table shows no password.
    argument_file = properties.with_name("arguments")
    write_private(argument_file, java_argument_file(["kafka.tools.StorageTool", *arguments]))
    done = subprocess.run(
        kafka.command(f"@{argument_file}", jvm=["-Xmx128m"]),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise ClusterError(f"Kafka could not format node {node.id}:\n{done.stdout.strip()[-2000:]}")


def java_argument_file(arguments: Sequence[str]) -> str:
    """Returns the content of an argument file for Java's launcher: one quoted argument a line."""
    return "".join(
        '"{}"\n'.format(argument.replace("\\", "\\\\").replace('"', '\\"'))
        for argument in arguments
    )


def _last_lines(log: Path) -> list[str]:
    """Returns the errors of a log if it has any, else its last lines."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-200:]
    except OSError:
        return []
    # Stack traces are left out, because `node_error` names the files that have them.
    errors = [line for line in lines if " ERROR " in line or " FATAL " in line]
    return (errors or lines)[-8:]
