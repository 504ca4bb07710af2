"""No message makes a worker take more memory than the stated limit."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from seldon_kafka.codec.limits import MOST_TIMES
from tests.seldon_kafka.memory import MESSAGES, SIZE

ROOT = Path(__file__).resolve().parents[2]

# The messages that once took the most memory, one of each kind.
WORST = [
    "rows of one",
    "90 kB of texts",
    "a text beside numbers",
    "columns of nothing",
    "rows of nothing",
    "protobuf values",
    "deep protobuf",
    "a tftensor that is not written out",
    "texts in a picture",
]


def measure(class_name: str, names: list[str]) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.seldon_kafka.memory", class_name, *names],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def check(measured: list[dict[str, Any]], names: list[str]) -> None:
    assert [found["name"] for found in measured] == names
    too_much = [found for found in measured if found["grown_mib"] > MOST_TIMES * SIZE / 2**20]
    assert too_much == []


def test_the_messages_that_once_took_the_most_memory_stay_below_the_limit() -> None:
    measured = measure("wrapper.KmnistClassifier", WORST)
    check(measured, WORST)
    # The model did not cause the failure, so it must not count towards stopped consumption.
    assert [found for found in measured if found["failed"]] == []


@pytest.mark.full
@pytest.mark.timeout(600)
@pytest.mark.parametrize("class_name", ["wrapper.KmnistClassifier", "tests.support.classes.Double"])
def test_no_message_takes_more_memory_than_the_limit(class_name: str) -> None:
    check(measure(class_name, list(MESSAGES)), list(MESSAGES))
