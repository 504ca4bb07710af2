"""Why the brokers do not let a client in, in their own words.

librdkafka goes on trying when it is refused, and a call that waited for it says
only that nobody answered. What the brokers said comes by another way.
"""

from __future__ import annotations

import logging
import time
from typing import Any, Dict, List, Mapping, Optional

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

_WAIT_S = 3.0
_LATE_S = 0.5
_NOBODY_ANSWERED = (
    KafkaError._TRANSPORT,
    KafkaError._TIMED_OUT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TIMED_OUT_QUEUE,
)
_CONNECTION = ("bootstrap.", "security.", "sasl.", "ssl.")
_ADVICE: Dict[int, str] = {
    KafkaError._AUTHENTICATION: "KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD",
    KafkaError._SSL: "KAFKA_SECURITY_PROTOCOL, KAFKA_SSL_…",
}

# What is tried again and again would be logged as often; the one line is what we return.
_QUIET = logging.getLogger("kafka.refusal.client")
_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False


def explained(error: KafkaException, config: Mapping[str, Any]) -> KafkaException:
    """The same error, or the brokers' refusal where that is what is behind it.

    Asks the brokers once more, for three seconds at most.

    Args:
        error: what a first call to the brokers raised.
        config: of the client that made it.
    """
    if error.args[0].code() not in _NOBODY_ANSWERED:
        return error
    said: List[KafkaError] = []
    asking: Dict[str, Any] = {n: v for n, v in config.items() if n.startswith(_CONNECTION)}
    asking.update(logger=_QUIET, error_cb=said.append)
    client = AdminClient(asking)
    give_up_at = time.monotonic() + _WAIT_S
    while time.monotonic() < give_up_at:
        client.poll(0.1)
        for answer in said:
            refusal = refusal_of(answer)
            if refusal is not None:
                return KafkaException(refusal)
        if any(answer.code() == KafkaError._ALL_BROKERS_DOWN for answer in said):
            # Nobody there at all, or what they said is still on its way.
            give_up_at = min(give_up_at, time.monotonic() + _LATE_S)
            said.clear()
    return error


def refusal_of(answer: KafkaError) -> Optional[KafkaError]:
    """What brokers object to and which settings decide it, in one line; None for other errors."""
    code = answer.code()
    # With TLS 1.3 a broker looks at the client's certificate after the handshake.
    if code == KafkaError._TRANSPORT and "SSL routines" in answer.str():
        code = KafkaError._SSL
    if code not in _ADVICE:
        return None
    # The time that it took differs each time, and would make it another line each time.
    words = answer.str().partition(" (after ")[0]
    return KafkaError(code, f"{words}; see {_ADVICE[code]}")
