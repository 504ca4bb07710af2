"""Serves any Seldon wrapper class between Kafka topics, exactly once and in order.

A user model need not import this package: the return value of `predict` is the answer. Two names
are for user models:

- `Response`: an answer with tags and metrics.
- `UserModelError`: an error that says whether the message or the user model caused it.

The other names are for programs:

- `load_settings`, `Settings`, `SettingsError`: read the settings from environment variables.
- `Feedback`, `feedback_of`, `BadFeedback`: parse feedback from Seldon's JSON.
- `FeedbackWriter`, `NotWritten`: write feedback to the feedback topic.

All other modules are internal: their names may change in any version.

The names for programs are imported at their first use. A user model that imports `Response` thus
does not import a Kafka client.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from seldon_kafka.errors import UserModelError
from seldon_kafka.messages import Response

if TYPE_CHECKING:
    from seldon_kafka.codec.feedback import BadFeedback, Feedback, feedback_of
    from seldon_kafka.config.settings import Settings, SettingsError, load_settings
    from seldon_kafka.feedback.writer import FeedbackWriter
    from seldon_kafka.transport.topic_writer import NotWritten

__all__ = [
    "BadFeedback",
    "Feedback",
    "FeedbackWriter",
    "NotWritten",
    "Response",
    "Settings",
    "SettingsError",
    "UserModelError",
    "__version__",
    "feedback_of",
    "load_settings",
]

__version__ = "0.2.0"

_MODULES = {
    "BadFeedback": "seldon_kafka.codec.feedback",
    "Feedback": "seldon_kafka.codec.feedback",
    "FeedbackWriter": "seldon_kafka.feedback.writer",
    "NotWritten": "seldon_kafka.transport.topic_writer",
    "Settings": "seldon_kafka.config.settings",
    "SettingsError": "seldon_kafka.config.settings",
    "feedback_of": "seldon_kafka.codec.feedback",
    "load_settings": "seldon_kafka.config.settings",
}


def __getattr__(name: str) -> object:
    """Imports a public name at its first use (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)
