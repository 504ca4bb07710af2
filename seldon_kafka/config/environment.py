"""Reading environment variables: parsers with errors that name the variable."""

from __future__ import annotations

import re
from typing import Any, Callable, FrozenSet, Iterable, List, Mapping, Optional, Tuple

from seldon_kafka.errors import UsageError

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


class SettingsError(UsageError):
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


def auto_on_off(variable: str, value: str) -> str:
    """`auto`, or as `on_off`."""
    if value.strip().lower() == "auto":
        return "auto"
    try:
        return "on" if on_off(variable, value) else "off"
    except SettingsError:
        raise SettingsError(f"{variable}={value!r}: use auto, on or off") from None


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


IGNORE = "KAFKA_IGNORE"
"""Names variables that are the class's own, though they look like settings."""

_MOST_EDITS = 2


def ignored_by(environ: Mapping[str, str]) -> FrozenSet[str]:
    """The variables that `KAFKA_IGNORE` names, separated by commas."""
    return frozenset(name.strip() for name in environ.get(IGNORE, "").split(",") if name.strip())


def unknown_variables(
    environ: Mapping[str, str], known: Iterable[str], prefixes: Tuple[str, ...]
) -> List[str]:
    """The `KAFKA_*` variables that are no settings; a class may have some of its own.

    Args:
        environ: all variables.
        known: the settings' variables.
        prefixes: beginnings of variables that are passed through to librdkafka.

    Raises:
        SettingsError: one is so near to a setting that it is a typing error; the message names
            the setting, and says how to keep the variable.
    """
    names = sorted(known)
    ignored = ignored_by(environ)
    unknown = []
    for variable, value in environ.items():
        if not variable.startswith(PREFIX) or variable in names or is_foreign(variable, value):
            continue
        if variable.startswith(prefixes) or variable == IGNORE or variable in ignored:
            continue
        nearest = _near(variable, names)
        if nearest is not None:
            raise SettingsError(
                f"{variable} is no setting; did you mean {nearest}? "
                f"If it is the class's own, keep it with {IGNORE}={variable}"
            )
        unknown.append(variable)
    return unknown


def _near(variable: str, names: Iterable[str]) -> Optional[str]:
    """The name that this is a typing error of, or the only one that it is the beginning of."""
    found = min(names, key=lambda name: edits(variable, name))
    if edits(variable, found) <= _MOST_EDITS:
        return found
    longer = [name for name in names if name.startswith(f"{variable}_")]
    return longer[0] if len(longer) == 1 else None


def edits(first: str, second: str) -> int:
    """Letters to change, add or leave out to make one text of the other (Levenshtein)."""
    row = list(range(len(second) + 1))
    for place, letter in enumerate(first, 1):
        last, row = row, [place]
        for other, wanted in enumerate(second):
            row.append(min(last[other + 1] + 1, row[other] + 1, last[other] + (letter != wanted)))
    return row[-1]
