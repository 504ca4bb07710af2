"""Finds out why brokers refuse a client.

librdkafka retries after a refusal, and the call that waits for an answer reports only a time-out.
The error callback gets the reason.
"""

from __future__ import annotations

import contextlib
import logging
import re
import time
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from seldon_kafka.config.clients import admin_config, checked, with_variables
from seldon_kafka.config.rights import READ, TOPIC, Right, RightMissing
from seldon_kafka.config.settings import Settings, load_settings
from seldon_kafka.errors import CommandError
from seldon_kafka.messages import JsonObject

# Time-out of a request that only finds out the reason of an earlier error.
_REASON_S = 3.0
# The error "all brokers are down" may arrive first, and the reason of a refusal this much later.
_REASON_DELAY_S = 0.5
# Time-out of all other requests.
_REQUEST_S = 10.0
_POLL_S = 0.05
MAY_NOT_WRITE = (
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    # An idempotent producer first requests a producer id. Brokers deny it to a user who may not
    # write to any topic.
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
)
"""Error codes of a producer without the right to write to its topic."""

_NO_ANSWER = (
    KafkaError._TRANSPORT,
    KafkaError._TIMED_OUT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TIMED_OUT_QUEUE,
)
# Prefixes of properties that are valid for every kind of client.
_CONNECTION = ("bootstrap.", "broker.", "client.", "enable.ssl.", "sasl.", "security.", "ssl.")
# Settings to check, by error code. Other errors are not refusals.
_ADVICE: Dict[int, str] = {
    KafkaError._AUTHENTICATION: "KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD",
    KafkaError._SSL: "KAFKA_SECURITY_PROTOCOL, KAFKA_SSL_…, KAFKA_BROKER",
}
# OpenSSL's texts of errors contain this.
_OPENSSL_MARK = "SSL routines::"
_NOT_VERIFIED = "certificate verify failed"
# The address of the broker, at the beginning of an error's text.
_BROKER = re.compile(r"^\w+://[^ ]+: ")

# Each retry of librdkafka would repeat the log line.
_QUIET = logging.getLogger("seldon_kafka.config.refusal.client")
_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False


class Inquiry:
    """An administration client that detects a refusal by the brokers.

    Args:
        config: properties of the client: addresses, TLS and SASL.

    Attributes:
        admin: the client, for requests.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._errors: List[KafkaError] = []
        own: JsonObject = {"logger": _QUIET, "error_cb": self._errors.append}
        self.admin: AdminClient = AdminClient({**config, **own})

    def wait(self, futures: Iterable[Any], when_down_s: Optional[float] = None) -> None:
        """Waits until all requests have an answer or an error; their time-out bounds the wait.

        Args:
            futures: futures of requests of `admin`; their results are not read.
            when_down_s: limit of the wait, in seconds, from the error that all brokers are down;
                None for no such limit.

        Raises:
            Refused: the brokers refuse the client.
            KafkaException: all brokers were down for `when_down_s`.
        """
        give_up_at: Optional[float] = None
        waiting = list(futures)
        while not all(future.done() for future in waiting):
            self.admin.poll(_POLL_S)
            for error in self._errors:
                refusal = refusal_of(error)
                if refusal is not None:
                    raise Refused(refusal)
                if error.code() == KafkaError._ALL_BROKERS_DOWN and when_down_s is not None:
                    # All brokers are down, or the reason of a refusal has not arrived yet.
                    give_up_at = give_up_at or time.monotonic() + when_down_s
            self._errors.clear()
            if give_up_at is not None and time.monotonic() > give_up_at:
                raise KafkaException(KafkaError(KafkaError._ALL_BROKERS_DOWN))


class Refused(KafkaException):
    """The brokers refuse the client; the text has the reason and the settings to check."""


def explained(error: KafkaException, config: Mapping[str, Any]) -> KafkaException:
    """Returns the refusal by the brokers that caused an error, or else the same error.

    If no broker answered, this function sends another request to find out the reason. The request
    takes at most three seconds.

    Args:
        error: the error of a client.
        config: properties of this client.
    """
    if error.args[0].code() not in _NO_ANSWER:
        return error
    inquiry = Inquiry({n: value for n, value in config.items() if n.startswith(_CONNECTION)})
    try:
        inquiry.wait([inquiry.admin.describe_cluster(request_timeout=_REASON_S)], _REASON_DELAY_S)
    except Refused as refused:
        return KafkaException(*refused.args)
    except KafkaException:
        pass
    return error


def admitted(settings: Settings) -> Settings:
    """Checks that a broker accepts a client with these settings.

    Commands call this function before all else. So they report a refusal at once, and wait up to
    ten seconds for brokers that start or restart.

    Returns:
        The same settings.

    Raises:
        SettingsError: the client library refuses the settings, or no broker is set.
        KafkaException: the brokers refuse the client, or no broker answers within ten seconds.
    """
    inquiry = Inquiry(admin_config(checked(settings)))
    answer = inquiry.admin.describe_cluster(request_timeout=_REQUEST_S)
    inquiry.wait([answer])
    answer.result()
    return settings


@contextlib.contextmanager
def one_shot_client() -> Iterator[Settings]:
    """Loads and checks the settings of a command, and turns errors of clients into `CommandError`.

    The log of the clients is off from here on, because it repeats an error at each retry.

    Raises:
        SettingsError: a setting is invalid, or no broker is set.
        CommandError: the brokers refuse the client or do not answer, or the body of the `with`
            statement raises a `KafkaException`.
    """
    logging.getLogger("seldon_kafka.client").setLevel(logging.CRITICAL)
    settings = load_settings()
    try:
        yield admitted(settings)
    except KafkaException as error:
        refusal = explained(error, admin_config(settings)).args[0]
        no_answer = refusal.code() in _NO_ANSWER
        prefix = f"the brokers at {settings.broker} do not answer: " if no_answer else ""
        raise CommandError(prefix + refusal.str()) from error


def why_unreadable(consumer: Consumer, topic: str, role: str) -> str:
    """Returns why brokers don't list a topic: the topic is missing, or this user may not read it.

    Args:
        consumer: sends the request; the request of a producer could create the topic.
        topic: name of the topic.
        role: role of the user, a key of `seldon_kafka.config.rights.ROLES`.

    Raises:
        KafkaException: the brokers don't answer.
    """
    found = consumer.list_topics(topic, timeout=_REQUEST_S).topics[topic].error
    if found is not None and found.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
        return str(RightMissing([Right(TOPIC, topic, READ, "")], role))
    return f"topic {topic} does not exist; create it with `seldon-kafka topics create`"


def refusal_of(answer: KafkaError) -> Optional[KafkaError]:
    """Returns a refusal as an error whose text names the settings to check.

    The text is the same for every broker and retry, so callers can skip texts that they have
    logged.

    Returns:
        The error. None if `answer` is not a refusal of the client.
    """
    code = answer.code()
    # With TLS 1.3, a broker checks the client's certificate after the handshake, so librdkafka
    # reports a lost connection.
    if code == KafkaError._TRANSPORT and _OPENSSL_MARK in answer.str():
        code = KafkaError._SSL
    if code not in _ADVICE:
        return None
    # Removes the broker before the reason, and the time and state after the reason.
    words = _BROKER.sub("", answer.str()).partition(" (after ")[0].rpartition(_OPENSSL_MARK)[2]
    if words.startswith(_NOT_VERIFIED):
        # The rest of the text differs: librdkafka or OpenSSL may detect the error first.
        words = (
            f"{_NOT_VERIFIED}: the broker's certificate is of another authority, for another host, "
            "or expired"
        )
    return KafkaError(code, f"{with_variables(words)}; see {_ADVICE[code]}")
