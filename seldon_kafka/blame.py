"""Whose fault an exception is: the sender's, the class's, or nobody's."""

from __future__ import annotations

import re
from typing import List, Tuple

from seldon_kafka.messages import Record, Rejection
from seldon_kafka.model_error import UNKNOWN, ModelError, text_or_empty
from seldon_kafka.pipeline.served_class import BadPrediction
from seldon_kafka.reasons import Rejected, Retriable
from seldon_kafka.temporary import STATUS_CODES, attribute, is_temporary, retry_after_s
from seldon_kafka.transport.replies import (
    DEAD_APP_CODE,
    DEAD_ERROR,
    DEAD_ERROR_REASON,
    DEAD_STATUS_CODE,
)

MESSAGE_LIMIT = 1000
"""Characters of what is said of a rejected message."""

_REASON_WORD = re.compile(r"^[a-z][a-z0-9_]{0,63}$")


def retriable_of(error: BaseException) -> Retriable:
    """Makes the exception that stands for a temporary error in the runtime."""
    return Retriable(words_of(error), retry_after_s(error))


def rejection_of(record: Record, error: Exception, said: ModelError = UNKNOWN) -> Rejection:
    """The rejection that an exception stands for.

    Args:
        record: the message.
        error: the exception.
        said: what the exception and the class's error handler say of it.

    Raises:
        Retriable: the error is temporary.
    """
    if isinstance(error, Rejected):
        return Rejection(record, error.reason, error.message)
    status = said.status_code
    if status in STATUS_CODES or (status is None and is_temporary(error)):
        raise retriable_of(error) from error
    headers = _headers(said)
    if status is not None and 400 <= status < 500:
        word = said.reason if _REASON_WORD.match(said.reason) else "bad_payload"
        message = _text_of(error)
        return Rejection(record, word, message[:MESSAGE_LIMIT], headers=headers)
    if is_temporary(error):
        raise retriable_of(error) from error
    message = words_of(error)[:MESSAGE_LIMIT]
    reason = "bad_prediction" if isinstance(error, BadPrediction) else "predict_failed"
    return Rejection(record, reason, message, failed=True, headers=headers)


def _headers(said: ModelError) -> Tuple[Tuple[str, bytes], ...]:
    values: List[Tuple[str, str]] = [
        (DEAD_STATUS_CODE, "" if said.status_code is None else str(said.status_code)),
        (DEAD_ERROR_REASON, said.reason[:MESSAGE_LIMIT]),
        (DEAD_APP_CODE, said.app_code[:MESSAGE_LIMIT]),
        (DEAD_ERROR, said.body),
    ]
    return tuple((name, value.encode("utf-8", "replace")) for name, value in values if value)


def words_of(error: BaseException) -> str:
    """The exception's type and text."""
    text = _text_of(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _text_of(error: BaseException) -> str:
    # Seldon's exceptions carry their text in `message`; str() of them is empty.
    return text_or_empty(error) or text_or_empty(attribute(error, "message"))
