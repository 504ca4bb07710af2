"""Imports and instantiates a wrapper class as Seldon does, and refuses unusable classes."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import json
from typing import Callable, Dict, Iterator, Mapping, Optional, Sequence, Tuple

from seldon_kafka.errors import UsageError
from seldon_kafka.messages import JsonObject
from seldon_kafka.pipeline.seldon_api import (
    INSTALL,
    SERVICES,
    Service,
    has_method,
    has_seldon_core,
    signature_of,
    takes,
)
from seldon_kafka.pipeline.user_model import UserModel

PARAMETERS_VARIABLE = "PREDICTIVE_UNIT_PARAMETERS"
SERVICE_TYPE_VARIABLE = "SERVICE_TYPE"

_Call = Tuple[Tuple[None, ...], Dict[str, None]]
_CALLS: Sequence[_Call] = (((None, None), {"meta": None}), ((None, None), {}))
"""The arguments of `predict`, with `meta` and without.

Seldon passes `meta` first, and omits it after a TypeError. It calls transform methods likewise.
"""


class ClassNotUsable(UsageError):
    """The class can't be imported, instantiated or used; the text says why."""


def load_class(
    name: str, environ: Optional[Mapping[str, str]] = None, *, null_non_finite: bool = False
) -> UserModel:
    """Imports, instantiates and loads a wrapper class.

    Args:
        name: `Module.Class`, or `Name` for a class `Name` in a module `Name`, as in Seldon's
            `MODEL_NAME`.
        environ: environment variables with Seldon's `PREDICTIVE_UNIT_PARAMETERS` and
            `SERVICE_TYPE`; none by default.
        null_non_finite: keep NaN and infinity in answers, for which replies have null; by default
            such answers are refused.

    Raises:
        ClassNotUsable: the class can't be imported, an environment variable is invalid, or
            `check_servable` refuses the instance.
        Exception: an error of the module, of the class's constructor or of `load()`.
    """
    environ = environ or {}
    service = _service(environ.get(SERVICE_TYPE_VARIABLE) or "MODEL")
    module_name, _, class_name = name.rpartition(".")
    module_name = module_name or class_name
    parameters = _parameters(environ.get(PARAMETERS_VARIABLE) or "[]")
    with _explain_missing_seldon(name):
        try:
            module = importlib.import_module(module_name)
        except ImportError as error:
            raise ClassNotUsable(f"can't import {module_name!r} of {name!r}: {error}") from error
        if not hasattr(module, class_name):
            raise ClassNotUsable(f"module {module_name!r} has no class {class_name!r}")
        instance = getattr(module, class_name)(**parameters)
        load(instance)
    check_servable(instance, service)
    if has_seldon_core() and any(has_method(instance, name) for name in service.raw_names):
        # A raw method may import seldon_core only when it is called. Without this import, the
        # message of its first call would not be an instance of seldon_core's class.
        importlib.import_module("seldon_core.proto.prediction_pb2")
    return UserModel(instance, service, null_non_finite=null_non_finite)


@contextlib.contextmanager
def _explain_missing_seldon(name: str) -> Iterator[None]:
    """Adds the command that installs seldon_core to an error that its absence caused."""
    try:
        yield
    except (ClassNotUsable, ImportError) as error:
        missing = getattr(error.__cause__ or error, "name", None) or ""
        if missing.partition(".")[0] != "seldon_core" or has_seldon_core():
            raise
        raise ClassNotUsable(
            f"{name} imports seldon_core, which is not installed: {INSTALL}"
        ) from error


def load(instance: object) -> None:
    """Calls `load()` as Seldon does; a class may lack the method, or raise NotImplementedError."""
    if hasattr(instance, "load"):
        with contextlib.suppress(NotImplementedError):
            instance.load()


def check_servable(instance: object, service: Service) -> None:
    """Refuses an instance that would fail for every message.

    Raises:
        ClassNotUsable: the instance has neither the method of the service type nor a raw method;
            or such a method is async, or does not take the arguments that it gets.
    """
    kind = type(instance).__name__
    raw = [name for name in service.raw_names if has_method(instance, name)]
    if not raw and not has_method(instance, service.method):
        wanted = f"{service.method}(self, X, names)"
        raise ClassNotUsable(f"{kind} has no {service.method} method; give it {wanted}")
    for name in (service.method, *raw):
        if has_method(instance, name):
            _check_callable(getattr(instance, name), f"{kind}.{name}", is_raw=name in raw)


def _check_callable(method: object, name: str, *, is_raw: bool) -> None:
    if not callable(method):
        raise ClassNotUsable(f"{name} is {type(method).__name__}, which can't be called")
    if _is_async(method):
        raise ClassNotUsable(
            f"{name} is an async function, which is not supported yet; "
            "run the coroutine inside a plain method, with asyncio.run"
        )
    calls: Sequence[_Call] = [((None,), {})] if is_raw else _CALLS
    if not any(takes(method, *positional, **named) for positional, named in calls):
        wanted = "(self, msg)" if is_raw else "(self, X, names)"
        raise ClassNotUsable(f"{name}{signature_of(method)} can't be called; it gets {wanted}")


def _is_async(method: object) -> bool:
    # `functools.partial` and an object with `__call__` hide the function that they call.
    hidden = getattr(method, "func", None), vars(type(method)).get("__call__")
    return any(
        inspect.iscoroutinefunction(each) or inspect.isasyncgenfunction(each)
        for each in (method, *hidden)
        if each is not None
    )


def _service(name: str) -> Service:
    service = SERVICES.get(name.strip().upper())
    if service is None:
        known = ", ".join(SERVICES)
        raise ClassNotUsable(
            f"{SERVICE_TYPE_VARIABLE}={name} can't be served between topics; use one of {known}"
        )
    return service


def _parameters(text: str) -> JsonObject:
    try:
        listed = json.loads(text)
        return {item["name"]: _PARSERS[item["type"]](item["value"]) for item in listed}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ClassNotUsable(f"{PARAMETERS_VARIABLE} can't be read: {error!r}") from error


def _boolean(value: str) -> bool:
    """Parses a boolean like `distutils.util.strtobool`, which Seldon uses."""
    word = value.lower()
    if word in ("y", "yes", "t", "true", "on", "1"):
        return True
    if word in ("n", "no", "f", "false", "off", "0"):
        return False
    raise ValueError(f"{value!r} is no BOOL; use true or false")


_PARSERS: Dict[str, Callable[[str], object]] = {
    "INT": int,
    "FLOAT": float,
    "DOUBLE": float,
    "STRING": str,
    "BOOL": _boolean,
}
