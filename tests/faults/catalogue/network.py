"""Faults of the network between the brokers and a replica in a namespace."""

from __future__ import annotations

from tests.faults import link
from tests.faults.context import RunContext
from tests.faults.fault import Fault
from tests.faults.link import LinkState

# Longer than the session and the transaction timeout, so that both sides give up.
_CUT_S = 9.0


def _no_line(context: RunContext) -> str | None:
    if context.link is None:
        return link.why_impossible() or "the brokers cannot be reached from a namespace"
    return None


def _for_a_while(context: RunContext, state: LinkState, seconds: float) -> None:
    assert context.link is not None
    context.link.set_state(state)
    try:
        context.sleep(seconds)
    finally:
        context.link.set_state(LinkState())


def _latency(context: RunContext) -> str:
    delay_ms = context.random.uniform(20, 100)
    _for_a_while(context, LinkState(delay_ms, delay_ms), 8)
    return f"{delay_ms:.0f} to {2 * delay_ms:.0f} ms each way for 8 s"


def _cut(context: RunContext) -> str:
    seconds = _CUT_S + context.random.uniform(0, 5)
    _for_a_while(context, LinkState(to_here=False, to_there=False), seconds)
    return f"both ways for {seconds:.1f} s"


def _short_cut(context: RunContext) -> str:
    seconds = context.random.uniform(1, 4)
    _for_a_while(context, LinkState(to_here=False, to_there=False), seconds)
    return f"both ways for {seconds:.1f} s, shorter than the session"


def _half_open(context: RunContext) -> str:
    for state in (LinkState(to_there=False), LinkState(to_here=False)):
        _for_a_while(context, state, _CUT_S)
        context.sleep(2)
    return f"answers lost for {_CUT_S:.0f} s, then requests"


FAULTS = (
    Fault("network: latency", "network", _latency, _no_line, quick=True),
    Fault("network: cut beyond the session", "network", _cut, _no_line, quick=True),
    Fault("network: cut shorter than the session", "network", _short_cut, _no_line),
    Fault("network: half-open connections", "network", _half_open, _no_line),
)
