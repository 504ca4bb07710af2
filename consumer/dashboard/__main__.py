"""`python -m consumer.dashboard` serves the web dashboard."""

from __future__ import annotations

import argparse
import gc
import logging
import os
import secrets
import signal
import sys
from contextlib import ExitStack

import uvicorn
from confluent_kafka import KafkaException

from consumer.dashboard.access import MIN_TOKEN_LENGTH, is_loopback
from consumer.dashboard.context import DashboardContext
from consumer.dashboard.fleet import Backend, FleetError
from consumer.dashboard.local import LocalBackend
from consumer.dashboard.page import make_app
from consumer.dashboard.services import ServiceError, running_services
from kafka.cluster.settings import local_settings
from kafka.cluster.state import ClusterError
from seldon_kafka.config.refusal import admitted
from seldon_kafka.config.settings import Settings, SettingsError

_TOKEN = "DASHBOARD_TOKEN"  # noqa: S105 - the name of a variable
# Interval at which Python switches threads.
_SWITCH_S = 0.0005
# Thresholds of the garbage collector's three generations. Python's defaults are 700, 10 and 10.
_COLLECT_AFTER = (10_000, 5, 50)
_EXAMPLES = f"""
examples:
  python -m consumer.dashboard                  for a running cluster and replicas
  python -m consumer.dashboard --all            start missing services, and stop them afterwards
  python -m consumer.dashboard --kubernetes seldon/kmnist
                                                the pods of a SeldonDeployment
  python -m consumer.dashboard --host 0.0.0.0 --new-token
  {_TOKEN}=… python -m consumer.dashboard --host 0.0.0.0

Brokers and topics come from KAFKA_BROKER (else the local cluster), KAFKA_INPUT_TOPIC and the other
settings of the README. On an address that other machines reach, the page needs a token: set
{_TOKEN}, or add --new-token, which creates one and prints it once.
"""


class UsageError(Exception):
    """The arguments are wrong; the text says what to change."""


def main(arguments: list[str] | None = None) -> int:
    """Serves the page until Ctrl-C or SIGTERM.

    Returns:
        Exit status: 0 after Ctrl-C or SIGTERM, 1 after an error, 2 for wrong arguments or settings.

    Raises:
        SystemExit: an argument is unknown or malformed (exit status 2), or asks for help (0).
    """
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("seldon_kafka.client").setLevel(logging.CRITICAL)
    # After SIGTERM, uvicorn shuts down and raises the signal again. This handler turns the signal
    # into KeyboardInterrupt, so that the services are stopped.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        token, deployment = _token(options), _deployment(options)
        with ExitStack() as stack:
            if options.all:
                stack.enter_context(running_services())
            settings = admitted(local_settings())
            context = DashboardContext(settings, _backend(settings, deployment, options.context))
            return _serve(options, context, token)
    except (SettingsError, UsageError) as error:
        return _failed(error, 2)
    except (ClusterError, ServiceError, FleetError) as error:
        return _failed(error, 1)
    except KafkaException as error:
        return _failed(error.args[0].str(), 1)
    except KeyboardInterrupt:
        return 0


def _failed(error: object, status: int) -> int:
    sys.stderr.write(f"error: {error}\n")
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m consumer.dashboard",
        description="Serve a web page that shows and controls the stream.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument(
        "--port", type=int, default=8090, help="port to listen on (%(default)s; 0: any free port)"
    )
    parser.add_argument(
        "--new-token", action="store_true", help="create a token, and print it once"
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--all",
        action="store_true",
        help="start a local cluster and two replicas if none run, create missing topics, and stop "
        "afterwards what was started",
    )
    where.add_argument(
        "--kubernetes",
        metavar="NAMESPACE/NAME",
        help="show and scale the pods of this SeldonDeployment instead of local replicas",
    )
    parser.add_argument("--context", help="context of the kubeconfig, with --kubernetes")
    return parser


def _token(options: argparse.Namespace) -> str | None:
    """Returns the token of the page; None if no token is set and only this machine can reach it.

    Raises:
        UsageError: the token is too short, or is missing although other machines can reach the
            page.
    """
    given = os.environ.pop(_TOKEN, "")
    if options.new_token:
        token = secrets.token_urlsafe(24)
        sys.stderr.write(f"token: {token}\n")
        return token
    if given and len(given) < MIN_TOKEN_LENGTH:
        raise UsageError(f"{_TOKEN} is too short: {MIN_TOKEN_LENGTH} characters or more")
    if not given and not is_loopback(options.host):
        raise UsageError(
            f"anybody who reaches {options.host} could kill workers: set {_TOKEN} "
            "or add --new-token"
        )
    return given or None


def _deployment(options: argparse.Namespace) -> tuple[str, str] | None:
    """Returns namespace and name of the SeldonDeployment; None if workers run on this machine.

    Raises:
        UsageError: `--kubernetes` is malformed, or `--context` was given without it.
    """
    if options.kubernetes is None:
        if options.context is not None:
            raise UsageError("--context goes with --kubernetes")
        return None
    namespace, _, name = options.kubernetes.partition("/")
    if not namespace or not name:
        raise UsageError(f"--kubernetes takes NAMESPACE/NAME, not {options.kubernetes}")
    return namespace, name


def _backend(
    settings: Settings, deployment: tuple[str, str] | None, kube_context: str | None
) -> Backend:
    """Returns the backend of the workers.

    Raises:
        FleetError: the name of the SeldonDeployment is invalid, or there is no usable configuration
            of a Kubernetes cluster.
        SettingsError: the state folder for local replicas can't be used.
    """
    if deployment is None:
        return LocalBackend(settings)
    # Imported late, because the Kubernetes client takes 0.3 s and 30 MB.
    from consumer.dashboard.kubernetes import KubernetesBackend

    return KubernetesBackend(*deployment, kube_context)


def _serve(options: argparse.Namespace, context: DashboardContext, token: str | None) -> int:
    # Threads that read topics must not delay the thread that serves pages. The serving thread gives
    # up Python's lock at each read and write of a socket. To get the lock back, it may have to wait
    # for one switch interval, which is 5 ms by default.
    sys.setswitchinterval(_SWITCH_S)
    config = uvicorn.Config(
        make_app(context, token),
        host=options.host,
        port=options.port,
        log_level="warning",
        timeout_graceful_shutdown=1,
        ws_max_size=2**20,
    )
    server = _Server(config)
    _collect_garbage_rarely()
    context.start()
    try:
        server.run()
    except SystemExit:  # uvicorn can't listen, and has logged the reason
        return 1
    finally:
        context.close()
    return 0 if server.started else 1


def _collect_garbage_rarely() -> None:
    """Keeps the garbage collector from delaying the page.

    With Python's defaults, a full collection would take 0.1 to 0.3 s every few seconds, because of
    the many results and modules. It would free little: results form no cycles, and modules are
    never collected.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)


class _Server(uvicorn.Server):
    """A server that prints its address when it is ready."""

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        await super().startup(sockets)  # type: ignore[arg-type]
        if self.started:
            port = self.servers[0].sockets[0].getsockname()[1]
            host = self.config.host if ":" not in self.config.host else f"[{self.config.host}]"
            print(f"the dashboard is at http://{host}:{port}   (Ctrl-C ends it)", flush=True)


if __name__ == "__main__":
    sys.exit(main())
