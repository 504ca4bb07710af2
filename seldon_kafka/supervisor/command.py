"""`seldon-kafka serve [Module.Class]`: one replica, with Seldon's server and workers."""

from __future__ import annotations

import argparse
import dataclasses
import logging
import os

from seldon_kafka.config.clients import checked
from seldon_kafka.config.settings import Settings, load_settings
from seldon_kafka.config.stop_signals import stop_signals_calling
from seldon_kafka.errors import UsageError
from seldon_kafka.pipeline.seldon_api import INSTALL, has_seldon_core
from seldon_kafka.supervisor.halt_marker import HaltMarker
from seldon_kafka.supervisor.supervision import Supervisor
from seldon_kafka.worker.command import configure_logging

log = logging.getLogger("seldon_kafka.supervisor")

_NO_SERVER = "no REST and gRPC server, because seldon_core is not installed"
_STREAM_VARIABLES = ("KAFKA_INPUT_TOPIC", "KAFKA_OUTPUT_TOPIC", "KAFKA_GROUP_ID")

EXAMPLES = """\
examples:
  MODEL_NAME=wrapper.KmnistClassifier KAFKA_BROKER=broker:9092 seldon-kafka serve
  seldon-kafka serve MyModel            REST and gRPC only, without KAFKA_BROKER
  KAFKA_SELDON_SERVER=off KAFKA_BROKER=broker:9092 seldon-kafka serve MyModel
  seldon-kafka serve --resume           after the class was fixed

Settings are environment variables; the README has the table of them all.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments to the parser."""
    parser.description = (
        "Runs Seldon's server for a wrapper class and, if KAFKA_BROKER is set, the workers between "
        "the topics."
    )
    parser.epilog = EXAMPLES
    parser.add_argument(
        "class_name",
        metavar="Module.Class",
        nargs="?",
        default=os.environ.get("MODEL_NAME"),
        help="the wrapper class; MODEL_NAME unless given",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="resume consumption that stopped because too many messages failed",
    )
    parser.set_defaults(run=_serve)


def _serve(options: argparse.Namespace) -> int:
    """Runs one replica until SIGTERM or Ctrl-C.

    Returns:
        Exit status: 0 after a signal if all workers stopped in time, 1 otherwise.
    """
    settings = load_settings()
    if settings.broker:
        checked(settings)
    if not options.class_name:
        raise UsageError("no class is named: set MODEL_NAME, or add Module.Class")
    _check_work(settings)
    configure_logging(settings)
    if settings.seldon_server and not has_seldon_core():
        log.warning("%s; if one is needed: %s", _NO_SERVER, INSTALL)
        settings = dataclasses.replace(settings, seldon_server=False)
    if options.resume:
        HaltMarker(settings).remove()
    try:
        supervisor = Supervisor(settings, options.class_name, dict(os.environ))
    except OSError as error:
        address = f"{settings.http_host}:{settings.http_port}"
        raise UsageError(
            f"can't listen on {address}: {error.strerror}; set KAFKA_HTTP_PORT"
        ) from error
    with stop_signals_calling(supervisor.stop):
        return supervisor.run()


def _check_work(settings: Settings) -> None:
    """Checks that there is a server or a worker to run, and that no setting lacks `KAFKA_BROKER`.

    Raises:
        UsageError: there is nothing to run, or a setting needs brokers and `KAFKA_BROKER` is not
            set.
    """
    if settings.broker:
        return
    if not settings.seldon_server:
        raise UsageError("nothing to do: KAFKA_BROKER is not set and KAFKA_SELDON_SERVER is off")
    if settings.log_requests:
        raise UsageError("KAFKA_LOG_REQUESTS is on, and KAFKA_BROKER is not set")
    stream = [variable for variable in _STREAM_VARIABLES if os.environ.get(variable)]
    if stream:
        # The replica would serve REST and gRPC, be ready, and consume nothing.
        raise UsageError(
            f"{stream[0]} is set, and KAFKA_BROKER is not: name the brokers (host:port,…), "
            f"or leave {' and '.join(stream)} out to serve REST and gRPC only"
        )
    if not has_seldon_core():
        raise UsageError(f"KAFKA_BROKER is not set, and there is {_NO_SERVER}: {INSTALL}")
