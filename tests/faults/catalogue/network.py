"""The network between the brokers and a replica that is in a namespace of its own."""

from __future__ import annotations

from tests.faults import link
from tests.faults.fault import Fault
from tests.faults.link import Line
from tests.faults.scene import Scene

# Longer than the session and the transaction time-out: both sides have given each other up.
_CUT_S = 9.0


def _no_line(scene: Scene) -> str | None:
    if scene.link is None:
        return link.why_impossible() or "the brokers can't be reached from a namespace"
    return None


def _for_a_while(scene: Scene, line: Line, seconds: float) -> None:
    assert scene.link is not None
    scene.link.be(line)
    try:
        scene.sleep(seconds)
    finally:
        scene.link.be(Line())


def _latency(scene: Scene) -> str:
    delay_ms = scene.random.uniform(20, 100)
    _for_a_while(scene, Line(delay_ms, delay_ms), 8)
    return f"{delay_ms:.0f} to {2 * delay_ms:.0f} ms each way for 8 s"


def _cut(scene: Scene) -> str:
    seconds = _CUT_S + scene.random.uniform(0, 5)
    _for_a_while(scene, Line(to_here=False, to_there=False), seconds)
    return f"both ways for {seconds:.1f} s"


def _short_cut(scene: Scene) -> str:
    seconds = scene.random.uniform(1, 4)
    _for_a_while(scene, Line(to_here=False, to_there=False), seconds)
    return f"both ways for {seconds:.1f} s, shorter than the session"


def _half_open(scene: Scene) -> str:
    for line in (Line(to_there=False), Line(to_here=False)):
        _for_a_while(scene, line, _CUT_S)
        scene.sleep(2)
    return f"answers lost for {_CUT_S:.0f} s, then requests"


FAULTS = (
    Fault("network: latency", "network", _latency, _no_line, quick=True),
    Fault("network: cut beyond the session", "network", _cut, _no_line, quick=True),
    Fault("network: cut shorter than the session", "network", _short_cut, _no_line),
    Fault("network: half-open connections", "network", _half_open, _no_line),
)
