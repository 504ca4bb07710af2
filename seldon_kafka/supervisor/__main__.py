"""`python -m seldon_kafka.supervisor [Module.Class]`."""

from __future__ import annotations

import argparse
import os
import sys
from typing import List, Optional

from seldon_kafka.config.clients import checked
from seldon_kafka.config.settings import SettingsError, load_settings
from seldon_kafka.config.stop_signals import heeding_stop_signals
from seldon_kafka.supervisor.halt_marker import HaltMarker
from seldon_kafka.supervisor.supervision import Supervisor
from seldon_kafka.worker.__main__ import configure_logging

_OF_A_STREAM = ("KAFKA_INPUT_TOPIC", "KAFKA_OUTPUT_TOPIC", "KAFKA_GROUP_ID")

EXAMPLES = """\
examples:
  MODEL_NAME=wrapper.KmnistClassifier KAFKA_BROKER=broker:9092 python -m seldon_kafka.supervisor
  python -m seldon_kafka.supervisor MyModel            REST and gRPC only, without KAFKA_BROKER
  KAFKA_SELDON_SERVER=off KAFKA_BROKER=broker:9092 python -m seldon_kafka.supervisor MyModel
  python -m seldon_kafka.supervisor --resume           after the class was mended

Settings are environment variables; the README has the table of them all.
"""


def main(arguments: Optional[List[str]] = None) -> int:
    """Runs one replica until SIGTERM or Ctrl-C.

    Returns:
        Exit status: 0 when told to stop and all left in time, 1 on trouble, 2 on wrong use.
    """
    parser = argparse.ArgumentParser(
        prog="python -m seldon_kafka.supervisor",
        description="Runs Seldon's server for a wrapper class and, if KAFKA_BROKER is set, the "
        "workers between the topics.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
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
        help="consume again after consumption stopped because the class failed",
    )
    options = parser.parse_args(arguments)
    try:
        settings = load_settings()
        if settings.broker:
            checked(settings)
    except SettingsError as error:
        return _wrong(str(error))
    if not options.class_name:
        return _wrong("which class? Set MODEL_NAME or name it: Module.Class")
    if not settings.broker and not settings.seldon_server:
        return _wrong("nothing to do: KAFKA_BROKER is not set and KAFKA_SELDON_SERVER is off")
    if settings.log_requests and not settings.broker:
        return _wrong("KAFKA_LOG_REQUESTS is on, and KAFKA_BROKER, where to, is not set")
    stream = [variable for variable in _OF_A_STREAM if os.environ.get(variable)]
    if stream and not settings.broker:
        # It would serve REST and gRPC, be ready, and read nothing.
        return _wrong(
            f"{stream[0]} is set, and KAFKA_BROKER is not: name the brokers (host:port,…), "
            f"or leave {' and '.join(stream)} out to serve REST and gRPC only"
        )
    configure_logging(settings)
    try:
        if options.resume:
            HaltMarker(settings).remove()
        supervisor = Supervisor(settings, options.class_name, dict(os.environ))
    except SettingsError as error:
        return _wrong(str(error))
    except OSError as error:
        address = f"{settings.http_host}:{settings.http_port}"
        return _wrong(f"can't listen on {address}: {error.strerror}; set KAFKA_HTTP_PORT")
    with heeding_stop_signals(supervisor.stop):
        return supervisor.run()


def _wrong(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
