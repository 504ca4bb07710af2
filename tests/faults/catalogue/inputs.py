"""Faults of input: messages that no sender should send."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.faults import fuzz
from tests.faults.checker import EITHER
from tests.faults.context import RunContext
from tests.faults.environment import with_settings
from tests.faults.fault import Fault, FaultNotObserved
from tests.support.hostile import Hostile, hostile_messages
from tests.support.patience import patient
from tests.support.poison import BAD

_FUZZED = 400
_FUZZ_S = 12
ROOT = Path(__file__).resolve().parents[3]


def send_poison(context: RunContext) -> str:
    """Sends every known kind of bad message once."""
    for _, value, headers, reason, _ in BAD:
        context.load.send(value, expect=reason, headers=headers)
    return f"{len(BAD)} kinds of bad messages among good ones"


def _generated(context: RunContext) -> str:
    """Sends hostile messages from hypothesis; their outcome is not known in advance."""

    @seed(context.random.getrandbits(64))
    @settings(
        max_examples=_FUZZED,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(hostile_messages(), st.sampled_from((b"", None, b"\x00\xff")))
    def send(message: Hostile, key: bytes | None) -> None:
        context.load.send(message.value, expect=EITHER, headers=message.headers, key=key)

    send()
    return f"{_FUZZED} messages made by hypothesis"


def _fuzzed_decoder(context: RunContext) -> str:
    """Fuzzes the decoder alone, with coverage, in a process of its own."""
    with tempfile.TemporaryDirectory() as corpus:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "tests.faults.fuzz", corpus),
                *(f"-max_total_time={_FUZZ_S}", f"-seed={context.random.randrange(1, 2**31)}"),
            ],
            cwd=ROOT,
            env=with_settings({}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=patient(_FUZZ_S + 60),
            check=False,
        )
    if done.returncode != 0:
        raise FaultNotObserved(f"the fuzzer found an error: {done.stdout[-1500:]}")
    last = [line for line in done.stdout.splitlines() if line.startswith("Done ")]
    return f"atheris: {last[-1].replace('second(s)', 'seconds') if last else 'done'}"


def _no_atheris(context: RunContext) -> str | None:
    return fuzz.why_impossible()


FAULTS = (
    Fault("input: the poison corpus", "input", send_poison, quick=True),
    Fault("input: fuzzed messages (hypothesis)", "input", _generated),
    Fault("input: fuzzed decoder (atheris)", "input", _fuzzed_decoder, _no_atheris),
)
