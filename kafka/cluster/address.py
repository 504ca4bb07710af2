"""Finds the local cluster, and its running nodes.

No file says that a broker runs. Instead, the process table is searched for processes that were
started with a configuration in the folder of the cluster. So the result is right even after a
crash, after `kill -9`, and if a process id was used again.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

FOLDER_VARIABLE = "KAFKA_CLUSTER_DIR"
STATE_FILE = "cluster.json"
PROPERTIES_FILE = "server.properties"
HOST = "127.0.0.1"
PLAINTEXT = "plaintext"
REPOSITORY_FOLDER = Path(__file__).resolve().parents[2] / ".cluster"

_MAIN_CLASS = "kafka.Kafka"


def cluster_folder(folder: str | Path | None = None) -> Path:
    """Returns the absolute path of the local cluster's folder, which may not exist.

    Args:
        folder: the folder; by default `KAFKA_CLUSTER_DIR`, or else `.cluster` in the root of the
            repository.
    """
    chosen = folder or os.environ.get(FOLDER_VARIABLE)
    return Path(chosen).resolve() if chosen else REPOSITORY_FOLDER


def node_folder(folder: Path, node: int) -> Path:
    """Returns the folder with the configuration, the log and the data of a node."""
    return folder / f"node-{node}"


def running_nodes(folder: Path) -> dict[int, int]:
    """Returns the process ids of the live nodes of a cluster, by node id."""
    found = {}
    for pid, arguments in _processes():
        if _MAIN_CLASS not in arguments:
            continue
        properties = Path(arguments[-1])
        name = properties.parent.name
        if properties == folder / name / PROPERTIES_FILE and name.startswith("node-"):
            found[int(name[len("node-") :])] = pid
    return found


def running_bootstrap(folder: str | Path | None = None) -> str | None:
    """Returns the bootstrap servers of the local cluster.

    Args:
        folder: folder of the cluster; by default the one that `cluster_folder` returns.

    Returns:
        `host:port` of each live broker, joined by commas; None if no broker runs, or if the folder
        has no readable state file.
    """
    chosen = cluster_folder(folder)
    try:
        nodes = json.loads((chosen / STATE_FILE).read_text(encoding="utf-8"))["nodes"]
        addresses = {
            int(node["id"]): f"{node.get('host', HOST)}:{int(node['broker_port'])}"
            for node in nodes
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    alive = sorted(node for node in running_nodes(chosen) if node in addresses)
    return ",".join(addresses[node] for node in alive) or None


def recorded_security(folder: str | Path | None = None) -> str | None:
    """Returns the security protocol of the local cluster, such as `sasl_ssl`.

    The result is None if the folder has no readable state file.

    Args:
        folder: folder of the cluster; by default the one that `cluster_folder` returns.
    """
    try:
        state = json.loads((cluster_folder(folder) / STATE_FILE).read_text(encoding="utf-8"))
        return str(state.get("security", PLAINTEXT))
    except (OSError, ValueError, AttributeError):
        return None


def _processes() -> Iterator[tuple[int, list[str]]]:
    """Yields the process id and the arguments of each process; zombies are left out."""
    proc = Path("/proc")
    if not (proc / "self" / "cmdline").exists():
        yield from _processes_by_ps()
        return
    for entry in proc.iterdir():
        if entry.name.isdigit():
            try:
                raw = (entry / "cmdline").read_bytes()
            except OSError:  # the process has ended
                continue
            if raw:
                yield int(entry.name), os.fsdecode(raw.rstrip(b"\0")).split("\0")


def _processes_by_ps() -> Iterator[tuple[int, list[str]]]:
    listing = subprocess.run(
        ["ps", "-axww", "-o", "pid=,args="],  # noqa: S607 - the path of ps differs by system
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    for line in os.fsdecode(listing).splitlines():
        pid, _, arguments = line.strip().partition(" ")
        # ps does not quote arguments, so all text after the class name is taken as one path.
        before, found, path = arguments.partition(_MAIN_CLASS + " ")
        yield int(pid), [before, _MAIN_CLASS, path] if found else arguments.split()
