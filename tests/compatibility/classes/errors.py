"""Classes that fail."""

from __future__ import annotations

import sys
from typing import Any

import flask
import numpy as np
import requests
from seldon_core.flask_utils import SeldonMicroserviceException
from seldon_core.proto import prediction_pb2

from tests.compatibility.classes.case import cases


class UserError(Exception):
    """An exception as Seldon's documentation shows it."""

    status_code = 422

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason

    def to_dict(self) -> dict[str, Any]:
        return {"status": {"status": 1, "info": self.message, "code": 4, "reason": self.reason}}


class HandledError(UserError):
    """An exception that only the blueprint knows."""


class RaisesValueError:
    def predict(self, rows: Any, names: Any) -> Any:
        raise ValueError("no such value")


class RaisesWithoutText:
    def predict(self, rows: Any, names: Any) -> Any:
        raise AssertionError


class RaisesOnBigNumbers:
    def predict(self, rows: Any, names: Any) -> Any:
        if np.max(np.asarray(rows, dtype=np.float64)) > 5:
            raise UserError("too big", "TOO_BIG")
        return np.asarray(rows)


class RaisesSeldonError:
    def predict(self, rows: Any, names: Any) -> Any:
        raise SeldonMicroserviceException("not good", status_code=418, reason="TEAPOT")


class RaisesServerError:
    def predict(self, rows: Any, names: Any) -> Any:
        error = UserError("broken", "BROKEN")
        error.status_code = 500
        raise error


class HandlesErrors:
    """Brings a handler of its own, as Seldon's documentation shows it."""

    model_error_handler = flask.Blueprint("error_handlers", __name__)

    def predict(self, rows: Any, names: Any) -> Any:
        raise HandledError("handled", "HANDLED")


def _handled(error: HandledError) -> Any:
    response = flask.jsonify(error.to_dict())
    response.status_code = error.status_code
    return response


HandlesErrors.model_error_handler.app_errorhandler(HandledError)(_handled)


class Leaves:
    def predict(self, rows: Any, names: Any) -> Any:
        sys.exit(3)


class Recurses:
    def predict(self, rows: Any, names: Any) -> Any:
        return self.predict(rows, names)


class StopsIteration:
    def predict(self, rows: Any, names: Any) -> Any:
        return next(iter(()))


class LosesConnection:
    """Trouble that passes."""

    def predict(self, rows: Any, names: Any) -> Any:
        raise ConnectionError("the store is away")


class AsksToRetry:
    """Trouble that passes, by the class's own word."""

    def predict(self, rows: Any, names: Any) -> Any:
        error = RuntimeError("later")
        error.retriable = True  # type: ignore[attr-defined]
        raise error


class LosesConnectionBelow:
    """The trouble is the cause of another exception."""

    def predict(self, rows: Any, names: Any) -> Any:
        try:
            raise ConnectionResetError("reset")
        except ConnectionResetError as error:
            raise RuntimeError("no features") from error


class LosesRequest:
    """A client's own class of connection errors."""

    def predict(self, rows: Any, names: Any) -> Any:
        raise requests.exceptions.ConnectionError("refused")


class TimesOut:
    def predict(self, rows: Any, names: Any) -> Any:
        raise TimeoutError("too slow")


class IsUnavailable:
    """An exception with a status that says that the trouble passes."""

    def predict(self, rows: Any, names: Any) -> Any:
        error = UserError("not now", "UNAVAILABLE")
        error.status_code = 503
        raise error


class RawIsUnavailable:
    """A raw reply with such a status."""

    def predict_raw(self, message: Any) -> Any:
        if isinstance(message, prediction_pb2.SeldonMessage):
            return prediction_pb2.SeldonMessage(status=prediction_pb2.Status(code=503))
        return {"status": {"code": 503, "status": "FAILURE"}}


class HasBadCertificate:
    """A kind of connection error that does not pass."""

    def predict(self, rows: Any, names: Any) -> Any:
        raise requests.exceptions.SSLError("the certificate has expired")


class HasBadAddress:
    def predict(self, rows: Any, names: Any) -> Any:
        raise requests.exceptions.InvalidURL("no host")


ERRORS = cases(
    RaisesValueError,
    RaisesWithoutText,
    RaisesOnBigNumbers,
    RaisesSeldonError,
    RaisesServerError,
    HandlesErrors,
    Leaves,
    Recurses,
    StopsIteration,
    HasBadCertificate,
    HasBadAddress,
) + cases(
    LosesConnection,
    AsksToRetry,
    LosesConnectionBelow,
    LosesRequest,
    TimesOut,
    IsUnavailable,
    RawIsUnavailable,
    is_in_trouble=True,
)
