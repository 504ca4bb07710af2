"""What senders do that is allowed, and easily got wrong by a reader."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from confluent_kafka import Producer

from kafka.clients import producer_config
from tests.faults import images, served
from tests.faults.checker import REPLY
from tests.faults.fault import Fault, NotSeen
from tests.faults.scene import Scene, quiet, wait_for

ROOT = Path(__file__).resolve().parents[3]
_TRANSACTIONS = 6
_MESSAGES = 60
_KEYLESS = 300
_WAIT_S = 30


def _transactional(scene: Scene) -> Producer:
    config = quiet(producer_config(scene.settings))
    producer = Producer({**config, "transactional.id": f"{scene.settings.group_id}-upstream"})
    producer.init_transactions(_WAIT_S)
    return producer


def _one_transaction(scene: Scene, producer: Producer) -> None:
    producer.begin_transaction()
    for _ in range(_MESSAGES):
        number = scene.load.number()
        coded = images.message(number)
        scene.load.produce(
            producer, number, coded.value, REPLY, coded.headers, coded.shown, b"%d" % number
        )
    producer.flush(_WAIT_S)


def _committed(scene: Scene) -> str:
    producer = _transactional(scene)
    for _ in range(_TRANSACTIONS):
        _one_transaction(scene, producer)
        producer.commit_transaction(_WAIT_S)
    return f"{_TRANSACTIONS} transactions of {_MESSAGES} messages"


def _aborted(scene: Scene) -> str:
    producer = _transactional(scene)
    for _ in range(_TRANSACTIONS):
        _one_transaction(scene, producer)
        producer.abort_transaction(_WAIT_S)
        scene.load.withdrawn += _MESSAGES
    return f"{_TRANSACTIONS} aborted transactions of {_MESSAGES} messages, none to be answered"


def _keyless(scene: Scene) -> str:
    for _ in range(_KEYLESS):
        scene.load.send_images(images.message(scene.load.sent), key=None)
    return f"{_KEYLESS} messages without a key"


def _replay(scene: Scene) -> str:
    """Dead letters are sent again, and become dead letters again, each once for each try."""
    value = served.marked(images.images()[0], served.RAISE).tobytes()
    for _ in range(5):
        scene.load.send(value, expect="predict_failed", headers=images.coded("raw", 0).headers)
    scene.recovered()
    command = [sys.executable, "-m", "kafka.dead_letter", "replay", "--reason", "predict_failed"]

    def replayed() -> str | None:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, **scene.environ},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.stdout.strip() if done.returncode == 0 else None

    seen = wait_for(replayed, 60, "dead letters are replayed")
    if "replayed" not in seen:
        raise NotSeen(f"the replay says {seen!r}")
    return str(seen)


FAULTS = (
    Fault("upstream: a transactional producer", "input", _committed, quick=True),
    Fault("upstream: aborted transactions", "input", _aborted, quick=True),
    Fault("upstream: messages without a key", "input", _keyless, quick=True),
    Fault("upstream: a replay of dead letters", "input", _replay, quick=True),
)
