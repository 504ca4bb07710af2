"""Finds out why brokers refuse a client.

librdkafka retries when brokers refuse it, and a waiting call only reports a time-out. The reason
arrives in the error callback.
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

_WAIT_S = 3.0
_LATE_S = 0.5
_PATIENCE_S = 10.0
_LOOK_S = 0.05
MAY_NOT_WRITE = (
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    # An idempotent producer asks for an id first, and needs the right to write any topic for it.
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
)
"""The errors of a producer without the right to write to its topic."""

_NOBODY_ANSWERED = (
    KafkaError._TRANSPORT,
    KafkaError._TIMED_OUT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TIMED_OUT_QUEUE,
)
# Prefixes of the properties that an administration client shares with other clients.
_CONNECTION = ("bootstrap.", "broker.", "client.", "enable.ssl.", "sasl.", "security.", "ssl.")
_ADVICE: Dict[int, str] = {
    KafkaError._AUTHENTICATION: "KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD",
    KafkaError._SSL: "KAFKA_SECURITY_PROTOCOL, KAFKA_SSL_…, KAFKA_BROKER",
}
_TLS_WORDS = "SSL routines::"
_NOT_VERIFIED = "certificate verify failed"
_BROKER = re.compile(r"^\w+://[^ ]+: ")

# Retries would repeat the log lines; the result has the reason in one line.
_QUIET = logging.getLogger("seldon_kafka.config.refusal.client")
_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False


class Inquiry:
    """An administration client that detects a refusal by the brokers.

    Args:
        config: properties of `config.clients.admin_config`, or another client's properties of the
            connection.

    Attributes:
        admin: the `confluent_kafka.admin.AdminClient` for requests.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._errors: List[KafkaError] = []
        own: JsonObject = {"logger": _QUIET, "error_cb": self._errors.append}
        self.admin: AdminClient = AdminClient({**config, **own})

    def wait(self, futures: Iterable[Any], when_down_s: Optional[float] = None) -> None:
        """Waits for all answers; the time-out of the requests bounds the wait.

        Args:
            futures: the futures of the requests.
            when_down_s: longest wait in seconds once no broker can be reached.

        Raises:
            Refused: the brokers refuse the client.
            KafkaException: no broker can be reached.
        """
        give_up_at: Optional[float] = None
        waiting = list(futures)
        while not all(future.done() for future in waiting):
            self.admin.poll(_LOOK_S)
            for error in self._errors:
                refusal = refusal_of(error)
                if refusal is not None:
                    raise Refused(refusal)
                if error.code() == KafkaError._ALL_BROKERS_DOWN and when_down_s is not None:
                    # No broker is there, or its refusal has not arrived yet.
                    give_up_at = give_up_at or time.monotonic() + when_down_s
            self._errors.clear()
            if give_up_at is not None and time.monotonic() > give_up_at:
                raise KafkaException(KafkaError(KafkaError._ALL_BROKERS_DOWN))


class Refused(KafkaException):
    """The brokers refuse the client; the text has the reason and the settings to check."""


def explained(error: KafkaException, config: Mapping[str, Any]) -> KafkaException:
    """Returns the same error, or the brokers' refusal that caused it.

    It asks the brokers once more, for at most three seconds.

    Args:
        error: the error of a first call.
        config: properties of the client that made the call.
    """
    if error.args[0].code() not in _NOBODY_ANSWERED:
        return error
    inquiry = Inquiry({n: value for n, value in config.items() if n.startswith(_CONNECTION)})
    try:
        inquiry.wait([inquiry.admin.describe_cluster(request_timeout=_WAIT_S)], _LATE_S)
    except Refused as refused:
        return KafkaException(*refused.args)
    except KafkaException:
        pass
    return error


def admitted(settings: Settings) -> Settings:
    """Checks that a broker accepts a client with these settings.

    Commands call it first, so that they report a refusal at once, and wait for brokers that are
    only unreachable.

    Returns:
        The same settings.

    Raises:
        SettingsError: the client library can't use the settings.
        KafkaException: the brokers refuse the client, or none answers within ten seconds.
    """
    inquiry = Inquiry(admin_config(checked(settings)))
    answer = inquiry.admin.describe_cluster(request_timeout=_PATIENCE_S)
    inquiry.wait([answer])
    answer.result()
    return settings


@contextlib.contextmanager
def one_shot_client() -> Iterator[Settings]:
    """Loads and checks the settings of a command, and turns errors of clients into one line.

    The clients' log is off in this context, because it repeats the error at each retry.

    Raises:
        SettingsError: the settings are wrong.
        CommandError: the brokers refuse the client, or don't answer.
    """
    logging.getLogger("seldon_kafka.client").setLevel(logging.CRITICAL)
    settings = load_settings()
    try:
        yield admitted(settings)
    except KafkaException as error:
        refusal = explained(error, admin_config(settings)).args[0]
        nobody = f"the brokers at {settings.broker} do not answer: "
        begins = nobody if refusal.code() in _NOBODY_ANSWERED else ""
        raise CommandError(begins + refusal.str()) from error


def why_unreadable(consumer: Consumer, topic: str, role: str) -> str:
    """Returns why brokers don't list a topic: it does not exist, or it is hidden from this user.

    Args:
        consumer: a `confluent_kafka.Consumer`; a producer's request could create the topic.
        topic: its name.
        role: role of the client, a key of `seldon_kafka.config.rights.ROLES`.

    Raises:
        KafkaException: the brokers don't answer.
    """
    found = consumer.list_topics(topic, timeout=_PATIENCE_S).topics[topic].error
    if found is not None and found.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
        return str(RightMissing([Right(TOPIC, topic, READ, "")], role))
    return f"topic {topic} does not exist; create it with `seldon-kafka topics create`"


def refusal_of(answer: KafkaError) -> Optional[KafkaError]:
    """Returns a refusal in one line, with the settings to check; None for other errors.

    The line is the same for every broker and try, so that it need not be logged again.
    """
    code = answer.code()
    # With TLS 1.3 a broker checks the client's certificate after the handshake.
    if code == KafkaError._TRANSPORT and _TLS_WORDS in answer.str():
        code = KafkaError._SSL
    if code not in _ADVICE:
        return None
    # The broker comes before the reason, and the time and state come after it.
    words = _BROKER.sub("", answer.str()).partition(" (after ")[0].rpartition(_TLS_WORDS)[2]
    if words.startswith(_NOT_VERIFIED):
        # The text differs, depending on whether the library or its OpenSSL detects it first.
        words = f"{_NOT_VERIFIED}: the broker's is of another authority, for another host, or old"
    return KafkaError(code, f"{with_variables(words)}; see {_ADVICE[code]}")
