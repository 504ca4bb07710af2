"""What senders do that is allowed, and easily got wrong by a reader."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from confluent_kafka import KafkaException, Producer

from seldon_kafka.config.clients import producer_config
from tests.faults import images, served
from tests.faults.checker import REPLY
from tests.faults.environment import with_settings
from tests.faults.fault import Fault, NotSeen
from tests.faults.scene import NotRecovered, Scene, quiet
from tests.support.patience import patient

ROOT = Path(__file__).resolve().parents[3]
_TRANSACTIONS = 6
_MESSAGES = 60
_KEYLESS = 300
_LETTERS = 5
_WAIT_S = 30
_PAUSE_S = 0.5
_GIVE_UP_S = 120.0
_REPLAYED = re.compile(r"^replayed ([\d,]+) dead letters?$", re.MULTILINE)


def _transactional(scene: Scene) -> Producer:
    config = quiet(producer_config(scene.settings))
    producer = Producer({**config, "transactional.id": f"{scene.settings.group_id}-upstream"})
    producer.init_transactions(_WAIT_S)
    return producer


def _one_transaction(scene: Scene, producer: Producer) -> list[int]:
    """Begins a transaction, and sends messages in it; returns their numbers."""
    producer.begin_transaction()
    numbers = [scene.load.number() for _ in range(_MESSAGES)]
    for number in numbers:
        coded = images.message(number)
        scene.load.produce(
            producer, number, coded.value, REPLY, coded.headers, coded.shown, b"%d" % number
        )
    producer.flush(_WAIT_S)
    return numbers


def _transactions(scene: Scene, end: Callable[[Producer, list[int]], None]) -> str:
    """Has so many transactions end in this way, whatever else is broken meanwhile.

    Returns:
        How many failed, in words; nothing if none did.

    Raises:
        KafkaException: they fail for too long.
    """
    give_up_at = time.monotonic() + patient(_GIVE_UP_S)
    producer: Producer | None = None
    done = failed = 0
    while done < _TRANSACTIONS:
        try:
            producer = producer or _transactional(scene)
            end(producer, _one_transaction(scene, producer))
            done += 1
        except KafkaException:
            if time.monotonic() > give_up_at:
                raise
            # The next producer's init_transactions ends what this one left; its messages are
            # neither confirmed nor sent again, others with new numbers are.
            producer = None
            failed += 1
            scene.sleep(_PAUSE_S)
    return f"; {failed} more failed" if failed else ""


def _committed(scene: Scene) -> str:
    def commit(producer: Producer, numbers: list[int]) -> None:
        producer.commit_transaction(_WAIT_S)
        scene.load.confirm(numbers)

    failed = _transactions(scene, commit)
    return f"{_TRANSACTIONS} transactions of {_MESSAGES} messages{failed}"


def _aborted(scene: Scene) -> str:
    failed = _transactions(scene, lambda producer, numbers: producer.abort_transaction(_WAIT_S))
    return f"{_TRANSACTIONS} aborted transactions of {_MESSAGES} messages, for no answer{failed}"


def _keyless(scene: Scene) -> str:
    for _ in range(_KEYLESS):
        scene.load.send_images(images.message(scene.load.sent), key=None)
    return f"{_KEYLESS} messages without a key"


def _replay(scene: Scene) -> str:
    """Dead letters are sent again, and become dead letters again, each once for each try."""
    value = served.marked(images.images()[0], served.RAISE).tobytes()
    for _ in range(_LETTERS):
        scene.load.send(value, expect="predict_failed", headers=images.coded("raw", 0).headers)
    scene.recovered()
    replayed = 0
    said: list[str] = []

    def all_are() -> bool:
        nonlocal replayed
        done = _run_replay(scene)
        said.append(f"{done.stdout}{done.stderr}".strip())
        # Also what does not end well may have sent something before.
        counts = _REPLAYED.findall(done.stdout)
        replayed += sum(int(count.replace(",", "")) for count in counts)
        return done.returncode == 0 and replayed >= _LETTERS

    try:
        scene.wait_for(all_are, 60, "dead letters are replayed")
    except NotRecovered as error:
        raise NotSeen(f"{error}; {replayed} are, the replay says {said[-1]!r}") from error
    return f"{replayed} dead letters; runs of the command: {len(said)}"


def _run_replay(scene: Scene) -> subprocess.CompletedProcess[str]:
    command = (
        sys.executable,
        "-m",
        "seldon_kafka",
        "dead-letters",
        "replay",
        "--reason",
        "predict_failed",
    )
    return subprocess.run(
        # Those of earlier replays come back again and again.
        [*command, "--attempts", "1000"],
        cwd=ROOT,
        env=with_settings(scene.environ),
        capture_output=True,
        text=True,
        timeout=patient(60),
        check=False,
    )


FAULTS = (
    Fault("upstream: a transactional producer", "input", _committed),
    Fault("upstream: aborted transactions", "input", _aborted),
    Fault("upstream: messages without a key", "input", _keyless),
    Fault("upstream: a replay of dead letters", "input", _replay),
)
