"""Reading environment variables: parsers with errors that name the variable."""

from __future__ import annotations

import difflib
import re
from typing import Any, Callable, Iterable, Mapping, Tuple

Parser = Callable[[str, str], Any]

PREFIX = "KAFKA_"

# Variables that Kafka's own scripts and this project's local cluster read.
_OTHERS_OWN = frozenset(
    {
        "KAFKA_CLUSTER_DIR",
        "KAFKA_DEBUG",
        "KAFKA_GC_LOG_OPTS",
        "KAFKA_HEAP_OPTS",
        "KAFKA_HOME",
        "KAFKA_JMX_OPTS",
        "KAFKA_JVM_PERFORMANCE_OPTS",
        "KAFKA_LOG4J_OPTS",
        "KAFKA_OPTS",
    }
)
# What Kubernetes sets in every pod beside a Service whose name begins with `kafka`
# (https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables).
_SERVICE_LINK = re.compile(
    r"^KAFKA_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)$"
)


class SettingsError(Exception):
    """A setting is missing, unknown or wrong; the message names it and says what to do."""


def text(variable: str, value: str) -> str:
    """The value without surrounding white space."""
    return value.strip()


def choice(*allowed: str) -> Parser:
    """A parser that takes one of `allowed`, in any case."""

    def parse(variable: str, value: str) -> str:
        for option in allowed:
            if value.strip().lower() == option.lower():
                return option
        raise SettingsError(f"{variable}={value!r}: use one of {', '.join(allowed)}")

    return parse


def on_off(variable: str, value: str) -> bool:
    """`on` or `off`; also true/false, yes/no, 1/0."""
    word = value.strip().lower()
    if word in ("on", "true", "yes", "1"):
        return True
    if word in ("off", "false", "no", "0"):
        return False
    raise SettingsError(f"{variable}={value!r}: use on or off")


def integer(low: int, high: int) -> Parser:
    """A parser for a whole number from `low` to `high`."""
    return _within(int, "a whole number", low, high)


def number(low: float, high: float) -> Parser:
    """A parser for a number from `low` to `high`."""
    return _within(float, "a number", low, high)


def _within(convert: Callable[[str], float], what: str, low: float, high: float) -> Parser:
    def parse(variable: str, value: str) -> float:
        try:
            parsed = convert(value.strip())
        except ValueError:
            raise SettingsError(f"{variable}={value!r}: {what} is needed") from None
        if not low <= parsed <= high:
            raise SettingsError(f"{variable}={parsed}: must be from {low} to {high}")
        return parsed

    return parse


def is_foreign(variable: str, value: str) -> bool:
    """Whether a `KAFKA_*` variable is not for us: a service link, or for Kafka's own scripts."""
    return (
        variable in _OTHERS_OWN
        or value.startswith(("tcp://", "udp://", "sctp://"))
        or _SERVICE_LINK.match(variable) is not None
    )


def refuse_unknown(
    environ: Mapping[str, str], known: Iterable[str], prefixes: Tuple[str, ...]
) -> None:
    """Refuses `KAFKA_*` variables that mean nothing, so that a typing error is never silent.

    Args:
        environ: all variables.
        known: the settings' variables.
        prefixes: beginnings of variables that are passed through to librdkafka.

    Raises:
        SettingsError: a variable is unknown; the message names the nearest known one.
    """
    names = sorted(known)
    for variable, value in environ.items():
        if not variable.startswith(PREFIX) or variable in names or is_foreign(variable, value):
            continue
        if variable.startswith(prefixes):
            continue
        nearest = difflib.get_close_matches(variable, names, n=1, cutoff=0.0)
        raise SettingsError(f"{variable} is no setting; did you mean {nearest[0]}?")
