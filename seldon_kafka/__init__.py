"""Serves any Seldon wrapper class between Kafka topics, exactly once and in order.

A user model needs nothing of this package: its return value is its answer. It may use:

- `Response`: an answer with tags and metrics.
- `UserModelError`: an error with its cause: the message or the user model.

Other programs may use:

- `load_settings`, `Settings`, `SettingsError`: the settings from environment variables.
- `Feedback`, `feedback_of`, `BadFeedback`: feedback, and its form in Seldon's JSON.
- `FeedbackWriter`, `NotWritten`: writes feedback to its topic.

All other modules are internal: their names may change in any version.

Names for programs are imported at their first use, so that a class with a `Response` does not
import a Kafka client.
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
