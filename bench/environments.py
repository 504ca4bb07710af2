"""Environments of the peers and of Locust; each is separate, because their pins conflict."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

from bench.cluster import ROOT, BenchError
from bench.systems import ENVIRONMENTS, PEERS

_STAMP = "installed.sha256"


def make_environments() -> None:
    """Creates the environment of each peer, unless it is up to date.

    Raises:
        BenchError: an environment cannot be installed.
    """
    for name in PEERS:
        make_environment(ENVIRONMENTS / name, ROOT / "bench" / "peers" / name / "requirements.txt")


def make_environment(folder: Path, requirements: Path) -> None:
    """Creates a virtual environment from a requirements file, unless it is up to date.

    Raises:
        BenchError: the environment cannot be installed.
    """
    wanted = hashlib.sha256(sys.version.encode("utf-8") + requirements.read_bytes()).hexdigest()
    stamp = folder / _STAMP
    if stamp.exists() and stamp.read_text("utf-8") == wanted:
        return
    sys.stderr.write(f"installing {folder}\n")
    install = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-input"]
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(folder)],
        [*install, "--disable-pip-version-check", "-r", str(requirements)],
    ):
        if subprocess.run(command, check=False).returncode:
            raise BenchError(f"{folder} cannot be installed from {requirements}")
    stamp.write_text(wanted, "utf-8")
