"""Where the local cluster is, and whether it runs.

Nothing records that a broker runs: the process table is asked, for processes
that were started with this folder's configuration. So a crash, a ``kill -9`` or
a recycled process id leaves nothing behind that could be believed.
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
    """The folder of the local cluster, absolute, existing or not.

    Args:
        folder: An explicit folder; else ``KAFKA_CLUSTER_DIR``, else ``.cluster``
            in the repository root.
    """
    chosen = folder or os.environ.get(FOLDER_VARIABLE)
    return Path(chosen).resolve() if chosen else REPOSITORY_FOLDER


def node_folder(folder: Path, node: int) -> Path:
    """Where one node keeps its configuration, log and data."""
    return folder / f"node-{node}"


def running_nodes(folder: Path) -> dict[int, int]:
    """The nodes of the cluster in this folder that have a live process: node -> pid."""
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
    """Bootstrap servers of the running local cluster, or None if none runs.

    Args:
        folder: As for :func:`cluster_folder`.

    Returns:
        ``host:port`` of each live broker, joined by commas.
    """
    at = cluster_folder(folder)
    try:
        nodes = json.loads((at / STATE_FILE).read_text(encoding="utf-8"))["nodes"]
        addresses = {
            int(node["id"]): f"{node.get('host', HOST)}:{int(node['broker_port'])}"
            for node in nodes
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    alive = sorted(node for node in running_nodes(at) if node in addresses)
    return ",".join(addresses[node] for node in alive) or None


def recorded_security(folder: str | Path | None = None) -> str | None:
    """What clients of the local cluster must speak, such as ``sasl_ssl``; None if there is none.

    Args:
        folder: As for :func:`cluster_folder`.
    """
    try:
        state = json.loads((cluster_folder(folder) / STATE_FILE).read_text(encoding="utf-8"))
        return str(state.get("security", PLAINTEXT))
    except (OSError, ValueError, AttributeError):
        return None


def _processes() -> Iterator[tuple[int, list[str]]]:
    """Every process that has arguments: (pid, arguments). A zombie has none."""
    proc = Path("/proc")
    if not (proc / "self" / "cmdline").exists():
        yield from _processes_by_ps()
        return
    for entry in proc.iterdir():
        if entry.name.isdigit():
            try:
                raw = (entry / "cmdline").read_bytes()
            except OSError:  # it ended while we looked
                continue
            if raw:
                yield int(entry.name), os.fsdecode(raw.rstrip(b"\0")).split("\0")


def _processes_by_ps() -> Iterator[tuple[int, list[str]]]:
    listing = subprocess.run(
        ["ps", "-axww", "-o", "pid=,args="],  # noqa: S607 - where ps lives differs by system
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    for line in os.fsdecode(listing).splitlines():
        pid, _, arguments = line.strip().partition(" ")
        # ps does not quote: what follows the class name is the one path.
        before, found, path = arguments.partition(_MAIN_CLASS + " ")
        yield int(pid), [before, _MAIN_CLASS, path] if found else arguments.split()
