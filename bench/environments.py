"""Environments of the bench's peers and of Locust: one each, so that their pins can't fight."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

from bench.bed import ROOT, BenchError
from bench.systems import ENVIRONMENTS, PEERS

_STAMP = "installed.sha256"


def make_environments() -> None:
    """Installs what each peer needs; what is there already stays.

    Raises:
        BenchError: one can't be installed.
    """
    for name in PEERS:
        make_environment(ENVIRONMENTS / name, ROOT / "bench" / "peers" / name / "requirements.txt")


def make_environment(folder: Path, requirements: Path) -> None:
    """Makes a virtual environment of what a file names, if it is not there.

    Raises:
        BenchError: it can't be made.
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
            raise BenchError(f"{folder} can't be made from {requirements}")
    stamp.write_text(wanted, "utf-8")
