"""Whose fault an exception is: the sender's, the class's, or nobody's."""

from __future__ import annotations

import re

from kafka.messages import Record, Rejection
from kafka.reasons import Rejected, Retriable
from kafka.served_class import BadPrediction

MESSAGE_LIMIT = 1000
"""Characters of what is said of a rejected message."""

_REASON_WORD = re.compile(r"^[a-z][a-z0-9_]{0,63}$")


def is_retriable(error: BaseException) -> bool:
    """Whether the class says so of its trouble: it passes."""
    return isinstance(error, (ConnectionError, TimeoutError)) or (
        getattr(error, "retriable", False) is True
    )


def rejection_of(record: Record, error: Exception) -> Rejection:
    """The rejection that an exception stands for.

    Raises:
        Retriable: the exception says that the trouble passes.
    """
    if isinstance(error, Rejected):
        return Rejection(record, error.reason, error.message)
    if is_retriable(error):
        raise Retriable(words_of(error)) from error
    status = getattr(error, "status_code", None)
    if isinstance(status, int) and 400 <= status < 500:
        reason = str(getattr(error, "reason", ""))
        word = reason if _REASON_WORD.match(reason) else "bad_payload"
        message = str(error) or str(getattr(error, "message", ""))
        return Rejection(record, word, message[:MESSAGE_LIMIT])
    message = words_of(error)[:MESSAGE_LIMIT]
    reason = "bad_prediction" if isinstance(error, BadPrediction) else "predict_failed"
    return Rejection(record, reason, message, failed=True)


def words_of(error: BaseException) -> str:
    """The exception's type and text."""
    # Seldon's exceptions carry their text in `message`; str() of them is empty.
    text = str(error) or str(getattr(error, "message", ""))
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
