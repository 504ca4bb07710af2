"""Parsers of environment variables, and a check for misspelled variables."""

from __future__ import annotations

import re
from typing import Any, Callable, FrozenSet, Iterable, List, Mapping, Optional, Tuple

from seldon_kafka.errors import UsageError

Parser = Callable[[str, str], Any]

PREFIX = "KAFKA_"

# Variables of Kafka's own scripts and of this project's local cluster.
_FOREIGN_VARIABLES = frozenset(
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
# Kubernetes sets such variables in each pod whose namespace has a Service named `kafka…`
# (https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables).
_SERVICE_LINK = re.compile(
    r"^KAFKA_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)$"
)


class SettingsError(UsageError):
    """A setting is missing, unknown or invalid; the text names the setting."""


def text(variable: str, value: str) -> str:
    """Returns the value without surrounding white space."""
    return value.strip()


def choice(*allowed: str) -> Parser:
    """Returns a parser that accepts one of `allowed`; upper and lower case are equal."""

    def parse(variable: str, value: str) -> str:
        for option in allowed:
            if value.strip().lower() == option.lower():
                return option
        raise SettingsError(f"{variable}={value!r}: use one of {', '.join(allowed)}")

    return parse


def on_off(variable: str, value: str) -> bool:
    """Parses `on` or `off`; true/false, yes/no and 1/0 are accepted too."""
    word = value.strip().lower()
    if word in ("on", "true", "yes", "1"):
        return True
    if word in ("off", "false", "no", "0"):
        return False
    raise SettingsError(f"{variable}={value!r}: use on or off")


def auto_on_off(variable: str, value: str) -> str:
    """Parses `auto`, or any word that `on_off` accepts; returns `auto`, `on` or `off`."""
    if value.strip().lower() == "auto":
        return "auto"
    try:
        return "on" if on_off(variable, value) else "off"
    except SettingsError:
        raise SettingsError(f"{variable}={value!r}: use auto, on or off") from None


def integer(low: int, high: int) -> Parser:
    """Returns a parser for a whole number from `low` to `high`."""
    return _within(int, "a whole number", low, high)


def number(low: float, high: float) -> Parser:
    """Returns a parser for a number from `low` to `high`."""
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
    """Returns whether a `KAFKA_*` variable is a service link of Kubernetes, or is for other tools.

    These tools are Kafka's own scripts and this project's local cluster.
    """
    return (
        variable in _FOREIGN_VARIABLES
        or value.startswith(("tcp://", "udp://", "sctp://"))
        or _SERVICE_LINK.match(variable) is not None
    )


IGNORE = "KAFKA_IGNORE"
"""The variable that names the user model's own variables that look like settings."""

# The largest edit distance at which a variable counts as a misspelled setting.
_MOST_EDITS = 2


def ignored_by(environ: Mapping[str, str]) -> FrozenSet[str]:
    """Returns the variables that `KAFKA_IGNORE` names, separated by commas."""
    return frozenset(name.strip() for name in environ.get(IGNORE, "").split(",") if name.strip())


def unknown_variables(
    environ: Mapping[str, str], known: Iterable[str], prefixes: Tuple[str, ...]
) -> List[str]:
    """Returns the `KAFKA_*` variables that are not settings, and may belong to the user model.

    Foreign variables, variables with one of `prefixes`, and those that `KAFKA_IGNORE` names are
    left out.

    Args:
        environ: all environment variables.
        known: variables of settings.
        prefixes: prefixes of variables that set properties of librdkafka.

    Raises:
        SettingsError: a variable looks like a misspelled setting. The text names the setting, and
            says how to keep the variable.
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
                f"{variable} is not a setting; did you mean {nearest}? "
                f"If the class reads it, keep it with {IGNORE}={variable}"
            )
        unknown.append(variable)
    return unknown


def _near(variable: str, names: Iterable[str]) -> Optional[str]:
    """Returns the name that a variable probably misspells, or None.

    It is the nearest name, if this differs by at most `_MOST_EDITS` edits. Otherwise it is the name
    that begins with the variable and `_`, if there is exactly one.
    """
    found = min(names, key=lambda name: edits(variable, name))
    if edits(variable, found) <= _MOST_EDITS:
        return found
    longer = [name for name in names if name.startswith(f"{variable}_")]
    return longer[0] if len(longer) == 1 else None


def edits(first: str, second: str) -> int:
    """Returns the edit distance of two texts (Levenshtein)."""
    row = list(range(len(second) + 1))
    for index, letter in enumerate(first, 1):
        above, row = row, [index]
        for column, other in enumerate(second):
            replaced = above[column] + (letter != other)
            row.append(min(above[column + 1] + 1, row[column] + 1, replaced))
    return row[-1]
