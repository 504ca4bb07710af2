"""The harness runs on three brokers, with each of the quicker faults once, mixed with others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.catalogue import FAULTS

ROOT = Path(__file__).resolve().parents[2]
SEED = 20_261_123


# The load is a share of what the machine does alone; beside another test, backlogs might not drain.
@pytest.mark.alone
@pytest.mark.timeout(600)
def test_no_message_is_lost_doubled_reordered_or_wrong_under_faults(tmp_path: Path) -> None:
    found = tmp_path / "outcome.json"
    environ = {name: value for name, value in os.environ.items() if not name.startswith("KAFKA_")}
    command = (sys.executable, "-m", "tests.faults", "--quick", "--backlog", "20000")
    done = subprocess.run(
        [*command, "--seed", str(SEED), "--json", str(found)],
        cwd=ROOT,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:]
    outcome = json.loads(found.read_text())
    verdict = outcome["verdict"]
    assert (verdict["lost"], verdict["doubled"], verdict["out_of_order"], verdict["wrong"]) == (
        0, 0, 0, 0,
    )  # fmt: skip
    assert verdict["messages"] > 20_000
    injected = {each["fault"] for each in outcome["injections"]}
    wanted = {fault.name for fault in FAULTS if fault.quick}
    assert injected | set(outcome["impossible"]) >= wanted
