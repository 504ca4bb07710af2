"""`seldon-kafka worker Module.Class`: one worker, without Seldon's server."""

from __future__ import annotations

import argparse
import faulthandler
import gc
import logging
import os
import sys
import threading
import time
from typing import Any, List

from confluent_kafka import KafkaException

from seldon_kafka.config.clients import checked
from seldon_kafka.config.settings import Settings, load_settings, log_unknown
from seldon_kafka.config.stop_signals import StopSignals
from seldon_kafka.errors import UsageError
from seldon_kafka.pipeline.load_class import ClassNotUsable, load_class
from seldon_kafka.pipeline.user_model import UNDECLARED, UserModel
from seldon_kafka.worker.identity import identity_of, lock
from seldon_kafka.worker.offsets import GapFound
from seldon_kafka.worker.status import EXIT_STOPPED, GAP, HALTED, StatusPipe
from seldon_kafka.worker.worker import Halted, Worker

log = logging.getLogger("seldon_kafka.worker")

# The longest wait for threads and processes of the user model when the worker exits.
_LEFT_S = 2.0
GAIN = "one call then answers many messages, about six times as many a second for the shipped class"
"""The gain of a declaration; README.md says how it was measured."""

EXAMPLES = """\
examples:
  seldon-kafka worker wrapper.KmnistClassifier
  KAFKA_BROKER=broker:9092 KAFKA_WORKER_ID=a seldon-kafka worker MyModel
  KAFKA_PROCESSING=at_least_once seldon-kafka worker MyModel

Settings are environment variables; the README has the table of them all.

exit status: 0 after SIGTERM or Ctrl-C; 1 after an error; 2 for wrong use or settings; 70 when
consumption stopped to prevent harm, and an operator must resume it.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments to the parser."""
    parser.description = "Answers messages of the input topic with a Seldon Python wrapper class."
    parser.epilog = EXAMPLES
    parser.add_argument(
        "class_name",
        metavar="Module.Class",
        nargs="?",
        default=os.environ.get("MODEL_NAME"),
        help="the wrapper class; MODEL_NAME unless given",
    )
    parser.add_argument(
        "--index", type=int, default=0, help="index of this worker among those of its supervisor"
    )
    parser.add_argument("--status-fd", type=int, default=None, help=argparse.SUPPRESS)
    parser.set_defaults(run=_start)


def _start(options: argparse.Namespace) -> int:
    """Runs a worker until SIGTERM or Ctrl-C.

    Returns:
        Exit status: 0 after a signal, 1 after an error, 70 when consumption stopped to prevent
        harm, and an operator must resume it.
    """
    settings = checked(load_settings())
    if not options.class_name:
        raise UsageError("no class is named: set MODEL_NAME, or add Module.Class")
    configure_logging(settings)
    # The stack of a native crash (a segmentation fault, an abort) goes to stderr.
    faulthandler.enable()
    return _run(settings, options)


def configure_logging(settings: Settings) -> None:
    """Logs to stderr, one line for each event."""
    logging.basicConfig(
        level=settings.log_level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )


def _run(settings: Settings, options: argparse.Namespace) -> int:
    parent = None if options.status_fd is None else os.getppid()
    identity = identity_of(settings, options.index)
    status = StatusPipe(options.status_fd)
    locked_file = lock(settings, identity.transactional_id)
    if locked_file is None:
        raise UsageError(
            f"a worker {identity.transactional_id!r} runs on this machine already; "
            "give this one a KAFKA_WORKER_ID of its own"
        )
    try:
        user_model = load_class(
            options.class_name, os.environ, null_non_finite=settings.non_finite == "null"
        )
    except ClassNotUsable:
        raise
    except Exception:
        # The class raised this error, so its stack is logged. The error may be temporary, for
        # example if a store can't be reached.
        log.exception("%s can't be created", options.class_name)
        return 1
    log_unknown(settings, log)
    _collect_seldom()
    signals = StopSignals()
    signals.install()
    worker = Worker(settings, user_model, identity, status, signals, parent)
    _log_batching(user_model)
    exit_status = _run_in_threads(worker, status)
    signals.ignore()
    _leave(exit_status)
    return exit_status


def _log_batching(user_model: UserModel) -> None:
    """Logs why the user model is called message by message, if it is."""
    if user_model.why_single == UNDECLARED:
        log.warning(
            "the class is called message by message: %s. If each row's answer depends on that row "
            "only, declare it: %s. `seldon-kafka check` tests a declaration",
            UNDECLARED,
            GAIN,
        )
    elif user_model.why_single is not None:
        log.info("the class is called message by message: %s", user_model.why_single)


def _run_in_threads(worker: Worker, status: StatusPipe) -> int:
    """Runs the worker in a new thread, and the user model in this thread.

    Returns:
        The process's exit status.
    """
    statuses: List[int] = []

    def run() -> None:
        statuses.append(_work(worker, status))

    # A daemon thread, so that the process ends after an exception in the main thread.
    thread = threading.Thread(target=run, name="io", daemon=True)
    thread.start()
    worker.serve()
    thread.join()
    # If there is no exit status, an exception ended the I/O thread; Python printed it to stderr.
    return statuses[0] if statuses else 1


def _leave(exit_status: int) -> None:
    """Ends the process by force if threads or processes of the user model do not end in 2 s."""
    until = time.monotonic() + _LEFT_S
    # When Python exits, it waits for all but daemon threads and processes, without a time limit.
    processes = _processes()
    waited_for = [each for each in (*threading.enumerate(), *processes) if _holds_up(each)]
    for each in waited_for:
        each.join(max(0.0, until - time.monotonic()))
    left = [each.name for each in waited_for if each.is_alive()]
    if left:
        log.warning(
            "the worker exits, and ends threads and processes of the class: %s", ", ".join(left)
        )
        for process in processes:
            process.kill()
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(exit_status)


def _holds_up(thread_or_process: Any) -> bool:
    """Returns whether Python waits for this thread or process when it exits."""
    return not thread_or_process.daemon and thread_or_process is not threading.main_thread()


def _processes() -> List[Any]:
    """Returns the processes of the user model from `multiprocessing`, pools included."""
    module = sys.modules.get("multiprocessing")
    return module.active_children() if module is not None else []


def _collect_seldom() -> None:
    """Makes garbage collection rare: many records are queued, and they have no cycles."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


def _work(worker: Worker, status: StatusPipe) -> int:
    try:
        worker.run()
    except (Halted, GapFound) as error:
        log.error("stopped: %s", error)
        state = HALTED if isinstance(error, Halted) else GAP
        status.report(status.last._replace(state=state, detail=str(error)))
        return EXIT_STOPPED
    except KafkaException as error:
        log.error("the worker can't continue: %s", error.args[0].str())
        return 1
    return 0
