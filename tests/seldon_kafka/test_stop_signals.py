"""A worker gets SIGTERM even if the user model changed signal handlers."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.patience import patient

_PROGRAM = """
import asyncio, os, signal, sys
from seldon_kafka.config.stop_signals import StopSignals

signals = StopSignals()
signals.install()

def ignore():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)

def default():
    signal.signal(signal.SIGTERM, signal.SIG_DFL)

def own_handler():
    signal.signal(signal.SIGTERM, lambda *_: None)

def leaves():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))

async def main():
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: None)

def closed_loop():
    asyncio.run(main())

def open_loop():
    global loop
    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())

{did}()
signals.install()
os.kill(os.getpid(), signal.SIGTERM)
print(signals.requested())
"""


@pytest.mark.parametrize(
    "did", ["ignore", "default", "own_handler", "leaves", "closed_loop", "open_loop"]
)
def test_sigterm_is_noticed_after_a_call_that_changed_its_handler(did: str) -> None:
    program = subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(did=did)],
        capture_output=True,
        text=True,
        timeout=patient(20),
        check=False,
    )
    assert (program.stdout, program.returncode) == ("True\n", 0), program.stderr
