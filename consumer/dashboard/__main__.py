"""`python -m consumer.dashboard`: the web dashboard."""

from __future__ import annotations

import argparse
import gc
import logging
import os
import secrets
import sys
from contextlib import ExitStack

import uvicorn
from confluent_kafka import KafkaException

from consumer.dashboard.access import LEAST_TOKEN, is_loopback
from consumer.dashboard.board import Board
from consumer.dashboard.everything import EverythingError, everything
from consumer.dashboard.fleet import Backend, FleetError
from consumer.dashboard.local import LocalBackend
from consumer.dashboard.page import make_app
from kafka.cluster.settings import local_settings
from kafka.cluster.state import ClusterError
from seldon_kafka.config.refusal import admitted
from seldon_kafka.config.settings import Settings, SettingsError

_TOKEN = "DASHBOARD_TOKEN"  # noqa: S105 - the name of a variable
_SWITCH_S = 0.0005
# New objects before a search among the new; such searches before one among the middle-aged; such
# before one among all. Python's own: 700, 10, 10.
_COLLECT_AFTER = (10_000, 5, 50)
_EXAMPLES = f"""
examples:
  python -m consumer.dashboard                  for a cluster and replicas that run
  python -m consumer.dashboard --all            start what is missing, and stop it afterwards
  python -m consumer.dashboard --kubernetes seldon/kmnist
                                                the pods of a SeldonDeployment
  python -m consumer.dashboard --host 0.0.0.0 --new-token
  {_TOKEN}=… python -m consumer.dashboard --host 0.0.0.0

Brokers and topics come from KAFKA_BROKER (else the local cluster), KAFKA_INPUT_TOPIC and the other
settings of the README. On an address that others reach, the page asks for a token: {_TOKEN},
or a new one that is printed once.
"""


class WrongUse(Exception):
    """The arguments ask for what can't be; the message says what to do."""


def main(arguments: list[str] | None = None) -> int:
    """Serve the page until Ctrl-C.

    Returns:
        0 after Ctrl-C or SIGTERM, 1 on trouble, 2 for wrong arguments or settings.
    """
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("seldon_kafka.client").setLevel(logging.CRITICAL)
    try:
        token, deployment = _token(options), _deployment(options)
        with ExitStack() as stack:
            if options.all:
                stack.enter_context(everything())
            settings = admitted(local_settings())
            board = Board(settings, _backend(settings, deployment, options.context))
            return _serve(options, board, token)
    except (SettingsError, WrongUse) as error:
        return _failed(error, 2)
    except (ClusterError, EverythingError, FleetError) as error:
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
        description="A web page that shows the stream, and steers it.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=8090, help="(%(default)s; 0: a free one)")
    parser.add_argument("--new-token", action="store_true", help="make a token, and print it once")
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--all",
        action="store_true",
        help="start what is missing: local cluster, topics, two replicas; stop it afterwards",
    )
    where.add_argument(
        "--kubernetes",
        metavar="NAMESPACE/NAME",
        help="show and scale the pods of this SeldonDeployment in place of replicas here",
    )
    parser.add_argument("--context", help="of the kubeconfig, with --kubernetes")
    return parser


def _token(options: argparse.Namespace) -> str | None:
    """What one must know to see the page; None if only this machine can ask.

    Raises:
        WrongUse: Others could ask, and there is none.
    """
    given = os.environ.pop(_TOKEN, "")
    if options.new_token:
        token = secrets.token_urlsafe(24)
        sys.stderr.write(f"token: {token}\n")
        return token
    if given and len(given) < LEAST_TOKEN:
        raise WrongUse(f"{_TOKEN} is too short: {LEAST_TOKEN} characters or more")
    if not given and not is_loopback(options.host):
        raise WrongUse(
            f"whoever reaches {options.host} could kill workers: set {_TOKEN}, or add --new-token"
        )
    return given or None


def _deployment(options: argparse.Namespace) -> tuple[str, str] | None:
    """Namespace and name of the SeldonDeployment; None if workers run here.

    Raises:
        WrongUse: It is not named so.
    """
    if options.kubernetes is None:
        if options.context is not None:
            raise WrongUse("--context goes with --kubernetes")
        return None
    namespace, _, name = options.kubernetes.partition("/")
    if not namespace or not name:
        raise WrongUse(f"--kubernetes takes NAMESPACE/NAME, not {options.kubernetes}")
    return namespace, name


def _backend(
    settings: Settings, deployment: tuple[str, str] | None, context: str | None
) -> Backend:
    """Where the workers are.

    Raises:
        FleetError: The cluster can't be used.
    """
    if deployment is None:
        return LocalBackend(settings)
    # Here and not above: its client takes a third of a second, and 30 MB.
    from consumer.dashboard.kubernetes import KubernetesBackend

    return KubernetesBackend(*deployment, context)


def _serve(options: argparse.Namespace, board: Board, token: str | None) -> int:
    # Threads that read topics must not keep an answer to a person waiting: after each read and
    # write, the one that serves pages waits this long for its turn (Python's own: 5 ms).
    sys.setswitchinterval(_SWITCH_S)
    config = uvicorn.Config(
        make_app(board, token),
        host=options.host,
        port=options.port,
        log_level="warning",
        timeout_graceful_shutdown=1,
        ws_max_size=2**20,
    )
    server = _Server(config)
    _rarely_collect()
    board.start()
    try:
        server.run()
    except SystemExit:  # uvicorn's way to say that it can't listen; it has said why
        return 1
    finally:
        board.close()
    return 0 if server.started else 1


def _rarely_collect() -> None:
    """Keeps Python's search for cycles from holding up the page.

    It goes through all that lives: 0.1 to 0.3 s, every few seconds, with the results that are kept
    and the modules behind the page. The former form no cycles, the latter stay.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)


class _Server(uvicorn.Server):
    """Says where it is, once it can be reached."""

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        await super().startup(sockets)  # type: ignore[arg-type]
        if self.started:
            port = self.servers[0].sockets[0].getsockname()[1]
            host = self.config.host if ":" not in self.config.host else f"[{self.config.host}]"
            print(f"the dashboard is at http://{host}:{port}   (Ctrl-C ends it)", flush=True)


if __name__ == "__main__":
    sys.exit(main())
