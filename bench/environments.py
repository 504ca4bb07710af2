"""The peers' environments: one each, so that their pins can't fight."""

from __future__ import annotations

import subprocess
import sys

from bench.bed import ROOT, BenchError
from bench.systems import ENVIRONMENTS, PEERS


def make_environments() -> None:
    """Install what each peer needs; what is there already stays.

    Raises:
        BenchError: one can't be installed.
    """
    for name in PEERS:
        requirements = ROOT / "bench" / "peers" / name / "requirements.txt"
        command = [sys.executable, "install.py", str(ENVIRONMENTS / name), str(requirements)]
        if subprocess.run(command, cwd=ROOT, check=False).returncode:
            raise BenchError(f"the environment of {name} can't be made")
