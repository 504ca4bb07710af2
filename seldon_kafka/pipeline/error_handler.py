"""Describes an exception of a user model, for the headers of the message's dead letter."""

from __future__ import annotations

import json
from typing import NamedTuple

from seldon_kafka.errors import ModelError, attribute, status_of, text_or_empty
from seldon_kafka.messages import Json

_MOST_BODY_CHARACTERS = 4000


class ModelErrors:
    """Describes exceptions of a user model, with the help of its `model_error_handler`.

    This attribute is a Flask blueprint with error handlers. Seldon's server uses it too.

    Args:
        instance: the user model.
    """

    def __init__(self, instance: object) -> None:
        self._blueprint = getattr(instance, "model_error_handler", None)
        self._app: Json = None

    def describe(self, error: Exception) -> ModelError:
        """Returns the facts about an exception.

        If a handler of the user model answers the exception, the status code and the body are those
        of this answer. Otherwise they come from the exception itself.
        """
        code = _first_attribute(error, "application_error_code", "app_code")
        described = ModelError(
            status_of(error),
            text_or_empty(attribute(error, "reason")),
            text_or_empty(code),
            _as_json(error),
        )
        handled = self._handled(error)
        return described if handled is None else described._replace(**handled._asdict())

    def _handled(self, error: Exception) -> Json:
        """Returns a handler's answer to the exception; None if no handler answers it."""
        if self._blueprint is None:
            return None
        try:
            return self._ask_handler(error)
        except (Exception, SystemExit):
            # There is no handler for this exception, or the handler fails.
            return None

    def _ask_handler(self, error: Exception) -> Json:
        import flask

        if self._app is None:
            self._app = flask.Flask("model")
            self._app.register_blueprint(self._blueprint)
        with self._app.test_request_context("/predict"):
            response = self._app.make_response(self._app.handle_user_exception(error))
            return _Handled(
                response.status_code, response.get_data(as_text=True)[:_MOST_BODY_CHARACTERS]
            )


class _Handled(NamedTuple):
    status_code: int
    body: str


def _first_attribute(error: Exception, *names: str) -> Json:
    found = (attribute(error, name) for name in names)
    return next((each for each in found if each is not None), None)


def _as_json(error: Exception) -> str:
    to_dict = attribute(error, "to_dict")
    if not callable(to_dict):
        return ""
    try:
        return json.dumps(to_dict(), default=str)[:_MOST_BODY_CHARACTERS]
    except (Exception, SystemExit):
        return ""
