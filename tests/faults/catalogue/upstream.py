"""Faults of senders: unusual but valid, and easily handled wrongly by a reader."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from confluent_kafka import KafkaException, Producer

from seldon_kafka.config.clients import producer_config
from tests.faults import images, user_models
from tests.faults.checker import REPLY
from tests.faults.context import NotRecovered, RunContext, quiet
from tests.faults.environment import with_settings
from tests.faults.fault import Fault, FaultNotObserved
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


def _transactional(context: RunContext) -> Producer:
    config = quiet(producer_config(context.settings))
    producer = Producer({**config, "transactional.id": f"{context.settings.group_id}-upstream"})
    producer.init_transactions(_WAIT_S)
    return producer


def _one_transaction(context: RunContext, producer: Producer) -> list[int]:
    """Begins a transaction and sends messages in it; returns their numbers."""
    producer.begin_transaction()
    numbers = [context.load.number() for _ in range(_MESSAGES)]
    for number in numbers:
        encoded = images.message(number)
        context.load.produce(
            producer, number, encoded.value, REPLY, encoded.headers, encoded.shown, b"%d" % number
        )
    producer.flush(_WAIT_S)
    return numbers


def _transactions(context: RunContext, end: Callable[[Producer, list[int]], None]) -> str:
    """Ends a number of transactions in this way, even if other faults disturb them.

    Returns:
        The number of failures as text; empty without failures.

    Raises:
        KafkaException: they fail for too long.
    """
    give_up_at = time.monotonic() + patient(_GIVE_UP_S)
    producer: Producer | None = None
    done = failed = 0
    while done < _TRANSACTIONS:
        try:
            producer = producer or _transactional(context)
            end(producer, _one_transaction(context, producer))
            done += 1
        except KafkaException:
            if time.monotonic() > give_up_at:
                raise
            # The next producer's init_transactions ends this transaction. Its messages are neither
            # confirmed nor sent again; new messages get new numbers.
            producer = None
            failed += 1
            context.sleep(_PAUSE_S)
    return f"; {failed} more failed" if failed else ""


def _committed(context: RunContext) -> str:
    def commit(producer: Producer, numbers: list[int]) -> None:
        producer.commit_transaction(_WAIT_S)
        context.load.confirm(numbers)

    failed = _transactions(context, commit)
    return f"{_TRANSACTIONS} transactions of {_MESSAGES} messages{failed}"


def _aborted(context: RunContext) -> str:
    failed = _transactions(context, lambda producer, numbers: producer.abort_transaction(_WAIT_S))
    return f"{_TRANSACTIONS} aborted transactions of {_MESSAGES} messages, not answered{failed}"


def _keyless(context: RunContext) -> str:
    for _ in range(_KEYLESS):
        context.load.send_images(images.message(context.load.sent), key=None)
    return f"{_KEYLESS} messages without a key"


def _replay(context: RunContext) -> str:
    """Replays dead letters, which become dead letters again, once for each replay."""
    value = user_models.marked(images.images()[0], user_models.RAISE).tobytes()
    for _ in range(_LETTERS):
        context.load.send(value, expect="predict_failed", headers=images.encoded("raw", 0).headers)
    context.wait_for_recovery()
    replayed = 0
    outputs: list[str] = []

    def is_replayed() -> bool:
        nonlocal replayed
        done = _run_replay(context)
        outputs.append(f"{done.stdout}{done.stderr}".strip())
        # A replay that fails may have sent some messages before.
        counts = _REPLAYED.findall(done.stdout)
        replayed += sum(int(count.replace(",", "")) for count in counts)
        return done.returncode == 0 and replayed >= _LETTERS

    try:
        context.wait_for(is_replayed, 60, "dead letters are replayed")
    except NotRecovered as error:
        raise FaultNotObserved(
            f"{error}; {replayed} were, the output is {outputs[-1]!r}"
        ) from error
    return f"{replayed} dead letters; runs of the command: {len(outputs)}"


def _run_replay(context: RunContext) -> subprocess.CompletedProcess[str]:
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
        # Dead letters of earlier replays have many attempts.
        [*command, "--attempts", "1000"],
        cwd=ROOT,
        env=with_settings(context.environ),
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
