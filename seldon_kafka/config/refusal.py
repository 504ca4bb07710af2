"""Why the brokers do not let a client in, in their own words.

librdkafka goes on trying when it is refused, and a call that waited for it says
only that nobody answered. What the brokers said comes by another way.
"""

from __future__ import annotations

import contextlib
import logging
import re
import time
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from seldon_kafka.config.clients import admin_config, checked, with_variables
from seldon_kafka.config.rights import READ, TOPIC, Right, RightMissing
from seldon_kafka.config.settings import Settings, load_settings
from seldon_kafka.errors import CommandError

_WAIT_S = 3.0
_LATE_S = 0.5
_PATIENCE_S = 10.0
_LOOK_S = 0.05
MAY_NOT_WRITE = (
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    # An idempotent producer begins by asking for a number; who may write no topic may not.
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
)
"""What a producer is told that lacks Write on its topic."""

_NOBODY_ANSWERED = (
    KafkaError._TRANSPORT,
    KafkaError._TIMED_OUT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TIMED_OUT_QUEUE,
)
# A consumer or producer has properties that are none of an administration client's.
_CONNECTION = ("bootstrap.", "broker.", "client.", "enable.ssl.", "sasl.", "security.", "ssl.")
_ADVICE: Dict[int, str] = {
    KafkaError._AUTHENTICATION: "KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD",
    KafkaError._SSL: "KAFKA_SECURITY_PROTOCOL, KAFKA_SSL_…, KAFKA_BROKER",
}
_TLS_WORDS = "SSL routines::"
_NOT_VERIFIED = "certificate verify failed"
_BROKER = re.compile(r"^\w+://[^ ]+: ")

# What is tried again and again would be logged as often; the one line is what we return.
_QUIET = logging.getLogger("seldon_kafka.config.refusal.client")
_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False


class Inquiry:
    """A client for administration that notices when the brokers refuse it.

    Args:
        config: `config.clients.admin_config`'s, or what of another concerns the connection.

    Attributes:
        admin: the `confluent_kafka.admin.AdminClient` to ask with.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._said: List[KafkaError] = []
        own: Dict[str, Any] = {"logger": _QUIET, "error_cb": self._said.append}
        self.admin: Any = AdminClient({**config, **own})

    def wait(self, futures: Iterable[Any], when_down_s: Optional[float] = None) -> None:
        """Waits until all answers are there, which the request's own time-out bounds.

        Args:
            futures: what the questions returned.
            when_down_s: how long to wait once no broker could be reached at all.

        Raises:
            Refused: the brokers don't let us in.
            KafkaException: no broker could be reached.
        """
        give_up_at: Optional[float] = None
        waiting = list(futures)
        while not all(future.done() for future in waiting):
            self.admin.poll(_LOOK_S)
            for error in self._said:
                refusal = refusal_of(error)
                if refusal is not None:
                    raise Refused(refusal)
                if error.code() == KafkaError._ALL_BROKERS_DOWN and when_down_s is not None:
                    # Nobody there at all, or what they said is still on its way.
                    give_up_at = give_up_at or time.monotonic() + when_down_s
            self._said.clear()
            if give_up_at is not None and time.monotonic() > give_up_at:
                raise KafkaException(KafkaError(KafkaError._ALL_BROKERS_DOWN))


class Refused(KafkaException):
    """The brokers don't let us in; the error's text says why, and what decides it."""


def explained(error: KafkaException, config: Mapping[str, Any]) -> KafkaException:
    """The same error, or the brokers' refusal where that is what is behind it.

    Asks the brokers once more, for three seconds at most.

    Args:
        error: what a first call to the brokers raised.
        config: of the client that made it.
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
    """The same settings, after a broker has let a client with them in.

    A command asks this first: a refusal then is told at once, while brokers that merely are
    away are waited for.

    Raises:
        SettingsError: the client library can't use the settings.
        KafkaException: the brokers refuse us, or none answers within ten seconds.
    """
    inquiry = Inquiry(admin_config(checked(settings)))
    answer = inquiry.admin.describe_cluster(request_timeout=_PATIENCE_S)
    inquiry.wait([answer])
    answer.result()
    return settings


@contextlib.contextmanager
def one_shot_client() -> Iterator[Settings]:
    """The settings of a command that asks brokers for one thing, which let it in.

    The clients' own log is silent meanwhile: what they retry by themselves is no news.

    Raises:
        SettingsError: the settings are wrong.
        CommandError: the brokers refuse, or don't answer; in place of the client's exception.
    """
    logging.getLogger("seldon_kafka.client").setLevel(logging.CRITICAL)
    settings = load_settings()
    try:
        yield admitted(settings)
    except KafkaException as error:
        said = explained(error, admin_config(settings)).args[0]
        nobody = f"the brokers at {settings.broker} do not answer: "
        begins = nobody if said.code() in _NOBODY_ANSWERED else ""
        raise CommandError(begins + said.str()) from error


def why_unreadable(consumer: Any, topic: str, role: str) -> str:
    """Why brokers don't list a topic: it is not there, or this user may not know of it.

    Args:
        consumer: a `confluent_kafka.Consumer`; to ask a producer might make the topic.
        topic: its name.
        role: of the client, a key of `seldon_kafka.config.rights.ROLES`.

    Raises:
        KafkaException: the brokers don't answer.
    """
    found = consumer.list_topics(topic, timeout=_PATIENCE_S).topics[topic].error
    if found is not None and found.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
        return str(RightMissing([Right(TOPIC, topic, READ, "")], role))
    return f"topic {topic} is not there; make it with `seldon-kafka topics create`"


def refusal_of(answer: KafkaError) -> Optional[KafkaError]:
    """What brokers object to and which settings decide it, in one line; None for other errors.

    The line is the same each time, whichever broker is asked, so that it need not be logged again.
    """
    code = answer.code()
    # With TLS 1.3 a broker looks at the client's certificate after the handshake.
    if code == KafkaError._TRANSPORT and _TLS_WORDS in answer.str():
        code = KafkaError._SSL
    if code not in _ADVICE:
        return None
    # Before them stands which broker, and behind them how long it took and in which state.
    words = _BROKER.sub("", answer.str()).partition(" (after ")[0].rpartition(_TLS_WORDS)[2]
    if words.startswith(_NOT_VERIFIED):
        # Said with more or fewer words, by whether the library or its OpenSSL is first.
        words = f"{_NOT_VERIFIED}: the broker's is of another authority, for another host, or old"
    return KafkaError(code, f"{with_variables(words)}; see {_ADVICE[code]}")
