"""Logs requests over REST and gRPC: at least once, before they are answered.

Workers log requests in the transactions of their replies (`transport.outcome_log`).
"""

from __future__ import annotations

import os
import time
import uuid
from typing import Optional

from seldon_kafka.codec.feedback import LONGEST_PUID
from seldon_kafka.config.clients import most_log_bytes
from seldon_kafka.config.rights import request_log_rights
from seldon_kafka.config.settings import Settings
from seldon_kafka.transport.log_entry import (
    ENVELOPE_BYTES,
    Content,
    Entry,
    Verdict,
    author_of,
    common_headers,
    fitting,
    headers_of,
    rfc3339,
)
from seldon_kafka.transport.topic_writer import TopicWriter

_WITHIN_S = 10.0


class CallLog:
    """Logs requests over REST and gRPC; several threads may share one.

    Args:
        settings: brokers, topic, and the largest record.
        within_s: longest wait for the brokers, in seconds.

    Raises:
        SettingsError: no broker is set.
    """

    def __init__(self, settings: Settings, within_s: float = _WITHIN_S) -> None:
        most = most_log_bytes(settings)
        self._most = most - ENVELOPE_BYTES
        self._author = author_of(settings.group_id, "calls", settings.worker_id, os.environ)
        rights = request_log_rights(settings)
        self._writer = TopicWriter(
            settings, settings.log_topic, rights, "worker", within_s, message_max_bytes=most
        )

    def log(
        self,
        transport: str,
        puid: str,
        request: Content,
        response: Content,
        verdict: Optional[Verdict] = None,
    ) -> None:
        """Writes an entry, and waits until the brokers have it.

        The entry omits a request or reply that does not fit, and says so.

        Args:
            transport: `rest` or `grpc`.
            puid: `puid` of the reply or the request; one is made if it is empty.
            request: the request.
            response: the reply.
            verdict: why there is no reply.

        Raises:
            NotWritten: the brokers refuse it, or don't answer in time.
        """
        own_id = uuid.uuid4().hex.encode("ascii")
        key = puid.encode("utf-8", "replace") if 0 < len(puid) <= LONGEST_PUID else own_id
        entry = Entry(
            own_id, key, transport.encode("ascii"), b"null", b"", request, response, verdict
        )
        now_ms = int(time.time() * 1000)
        now = rfc3339(now_ms)
        value = fitting(entry, self._author, now, lambda value: len(value) <= self._most)
        headers = headers_of(entry, common_headers(self._author, now))
        self._writer.write(entry.puid, value, headers, now_ms)

    def close(self) -> None:
        """Disconnects, after a short wait for entries that are under way."""
        self._writer.close()
