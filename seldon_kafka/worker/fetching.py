"""Configuration of the consumer that a worker reads the input topic with."""

from __future__ import annotations

from typing import Any, Dict

from seldon_kafka.config.clients import consumer_config
from seldon_kafka.config.settings import Settings

# The client library's default, and its limit.
_POLL_INTERVAL_MS = 300_000
_MOST_POLL_INTERVAL_MS = 86_400_000


def fetching_config(settings: Settings) -> Dict[str, Any]:
    """A member of the group that is told of everything, and fetches ahead within bounds."""
    return consumer_config(
        settings,
        settings.group_id,
        client_id=settings.worker_id,
        session_timeout_ms=settings.session_timeout_ms,
        max_poll_interval_ms=_most_between_polls_ms(settings),
        heartbeat_interval_ms=max(1, settings.session_timeout_ms // 6),
        partition_assignment_strategy="roundrobin",
        auto_offset_reset="error",
        enable_partition_eof=True,
        allow_auto_create_topics=False,
        # What is fetched ahead; it bounds memory whatever the backlog.
        queued_max_messages_kbytes=32 * 1024,
        # Small pieces of each partition by turns: out of a backlog, as after a take-over,
        # none waits for all of another. A message that is larger comes all the same.
        fetch_message_max_bytes=256 * 1024,
        fetch_max_bytes=max(16 * 1024 * 1024, settings.max_message_bytes * 2),
        fetch_wait_max_ms=100,
        fetch_queue_backoff_ms=20,
        # How long a partition rests after each record of it that can't be read.
        fetch_error_backoff_ms=50,
    )


def _most_between_polls_ms(settings: Settings) -> int:
    """Returns the longest time between polls, which exceeds a call of the class.

    Within the watchdog's slack a call may take a quarter more, and a stack that fails is called
    again in parts.
    """
    wanted_ms = _POLL_INTERVAL_MS + int(settings.predict_timeout_s * 2500)
    return min(_MOST_POLL_INTERVAL_MS, max(wanted_ms, settings.session_timeout_ms))
