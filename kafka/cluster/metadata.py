"""What the brokers say of themselves."""

from __future__ import annotations

import logging
from typing import Any, Set

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

# A broker that is not there yet is what callers wait for, not something to report.
QUIET = logging.getLogger("kafka.cluster.client")
QUIET.addHandler(logging.NullHandler())
QUIET.propagate = False


def admin_client(bootstrap: str) -> Any:
    """A client for administration that is patient and silent."""
    return AdminClient(
        {
            "bootstrap.servers": bootstrap,
            "reconnect.backoff.ms": 50,
            "reconnect.backoff.max.ms": 200,
            "socket.timeout.ms": 10000,
        },
        logger=QUIET,
    )


def live_brokers(bootstrap: str) -> Set[int]:
    """The brokers that the cluster counts as alive; none where nobody answers."""
    try:
        return set(admin_client(bootstrap).list_topics(timeout=2).brokers)
    except KafkaException:
        return set()
