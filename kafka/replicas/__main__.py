"""`python -m kafka.replicas` runs replicas on this machine."""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from kafka.cluster.settings import local_settings
from kafka.replicas.control import Client, Control, NoManager
from kafka.replicas.manager import Manager, ReplicaError
from kafka.replicas.registry import Registry
from kafka.replicas.replica import Replica
from kafka.replicas.scaling import AUTOMATIC, BY_HAND, OFF, Policy, PolicyError
from kafka.replicas.view import show
from seldon_kafka.config.arguments import positive_integer
from seldon_kafka.config.settings import Settings, SettingsError, load_settings
from seldon_kafka.config.stop_signals import stop_signals_calling

ROOT = Path(__file__).resolve().parents[2]
_UP_TIMEOUT_S = 65.0
_DOWN_TIMEOUT_S = 20.0

# A manager in the background writes this text to its log when the replicas are ready.
_READY_TEXT = "replicas are ready"

_EXAMPLES = """\
examples:
  python -m kafka.replicas                        two replicas until Ctrl-C, on the local cluster
  python -m kafka.replicas --count 4
  MODEL_NAME=MyModel python -m kafka.replicas --app DIR     the class in DIR/MyModel.py
  python -m kafka.replicas up                     two replicas in the background, until `down`
  python -m kafka.replicas status
  python -m kafka.replicas scale --minimum 1 --maximum 6 --automatic --lag 200
  python -m kafka.replicas scale --by-hand --count 3
  python -m kafka.replicas kill replica-2         kill -9; a new replica replaces it
  python -m kafka.replicas kill --random
  python -m kafka.replicas down
"""
_SCALE = """\
Sets the number of replicas. `--automatic` scales like KEDA's Kafka scaler and the autoscaler in a
Kubernetes cluster: the number is the lag divided by --lag, rounded up, at most the number of
partitions, between --minimum and --maximum. It falls only to the highest number that the lag needed
during --stabilisation. `--by-hand` keeps --count replicas, limited to --minimum and --maximum, and
replaces those that die. `--off` neither starts nor replaces replicas. Options that are not given
keep their value.
"""


def main(arguments: list[str] | None = None) -> int:
    """Runs one command.

    Returns:
        Exit status: 0 after success, 1 after an error, 2 for wrong settings, 130 after Ctrl-C. If
        replicas run in the foreground, Ctrl-C stops them, and the status is 0.

    Raises:
        SystemExit: the arguments are wrong (exit status 2), or ask for help (0).
    """
    options = _parser().parse_args(arguments)
    logging.getLogger("seldon_kafka.client").setLevel(logging.CRITICAL)
    try:
        status: int = options.run(options.settings(), options)
        return status
    except (SettingsError, PolicyError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (NoManager, ReplicaError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m kafka.replicas",
        description="Runs several replicas on this machine, each started as in the image.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_start(parser, 2, os.environ.get("REPLICAS_APP") or None)
    # Commands that start replicas need the address of brokers. Commands to the manager do not.
    parser.set_defaults(run=_run_here, settings=local_settings)
    commands = parser.add_subparsers(metavar="COMMAND")
    up = commands.add_parser("up", help="start replicas in the background")
    # Without defaults here, options before the command keep their value.
    _add_start(up, argparse.SUPPRESS, argparse.SUPPRESS)
    up.set_defaults(run=_up)
    status = commands.add_parser(
        "status", help="show the running replicas, and replicas that ended"
    )
    status.add_argument("--json", action="store_true", help="print JSON")
    status.set_defaults(run=_status, settings=load_settings)
    _add_scale(commands)
    stop = commands.add_parser("stop", help="stop a replica after its current batch (SIGTERM)")
    stop.add_argument("name", metavar="REPLICA")
    stop.set_defaults(run=_stop, settings=load_settings)
    kill = commands.add_parser("kill", help="kill a replica (SIGKILL)")
    which = kill.add_mutually_exclusive_group(required=True)
    which.add_argument("name", metavar="REPLICA", nargs="?")
    which.add_argument("--random", action="store_true", help="a random replica")
    kill.set_defaults(run=_kill, settings=load_settings)
    down = commands.add_parser("down", help="stop all replicas")
    down.set_defaults(run=_down, settings=load_settings)
    return parser


def _add_start(parser: argparse.ArgumentParser, default_count: Any, default_app: Any) -> None:
    parser.add_argument(
        "--count", type=positive_integer, default=default_count, help="number of replicas (2)"
    )
    parser.add_argument(
        "--app",
        type=_folder,
        default=default_app,
        metavar="DIR",
        help="folder of the class that MODEL_NAME names (REPLICAS_APP, else this repository)",
    )


def _folder(text: str) -> Path:
    path = Path(text)
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is not a folder")
    return path.resolve()


def _add_scale(commands: Any) -> None:
    scale = commands.add_parser(
        "scale",
        help="set the number of replicas",
        description=_SCALE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    modes = scale.add_mutually_exclusive_group()
    for flag, mode in (("--automatic", AUTOMATIC), ("--by-hand", BY_HAND), ("--off", OFF)):
        modes.add_argument(flag, dest="mode", action="store_const", const=mode)
    scale.add_argument(
        "--minimum",
        type=int,
        metavar="N",
        help="smallest number of replicas; with 0, all of them stop while there is no lag",
    )
    scale.add_argument("--maximum", type=int, metavar="N", help="largest number of replicas")
    scale.add_argument("--count", type=int, metavar="N", help="number of replicas for --by-hand")
    scale.add_argument(
        "--lag", dest="lag_per_worker", type=int, metavar="N", help="messages of lag per replica"
    )
    for option, name, meaning in (
        ("--polling-interval", "polling_interval_s", "between two queries of the lag"),
        ("--stabilisation", "stabilisation_s", "of lower lag before replicas are removed"),
        ("--cool-down", "cooldown_s", "without lag before the last replica stops"),
    ):
        scale.add_argument(option, dest=name, type=float, metavar="S", help=f"seconds {meaning}")
    scale.set_defaults(run=_scale, settings=load_settings)


def _run_here(settings: Settings, options: argparse.Namespace) -> int:
    """Runs replicas until SIGTERM or Ctrl-C; if a replica cannot start, all replicas stop.

    Raises:
        ReplicaError: a replica cannot start, or replicas of this group run already.
    """
    registry = Registry(settings)
    if not registry.acquire():
        raise ReplicaError(
            "replicas of this group run already; "
            "`python -m kafka.replicas status` shows them, `down` stops them"
        )
    policy = Policy(count=options.count, maximum=max(options.count, Policy.maximum))
    environment = {"KAFKA_BROKER": settings.broker}
    manager = Manager(settings, environment, policy, registry, options.app)
    control = Control(manager)
    registry.publish(control.address)
    with stop_signals_calling(manager.leave), manager, control:
        manager.await_ready(_print_ready)
        if not manager.is_stopping:
            ready = sum(replica.ready for replica in manager.replicas)
            print(f"{ready} {_READY_TEXT}; Ctrl-C stops them", flush=True)
        manager.run()
    return 0


def _up(settings: Settings, options: argparse.Namespace) -> int:
    registry = Registry(settings)
    client = Client(registry)
    if registry.address() is None:
        _start_in_background(registry, client, options)
    show(client.status())
    return 0


def _start_in_background(registry: Registry, client: Client, options: argparse.Namespace) -> None:
    count = options.count
    app = ["--app", str(options.app)] if options.app else []
    with registry.log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "kafka.replicas", "--count", str(count), *app],
            cwd=str(ROOT),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    print(f"starting {count} replicas", flush=True)
    give_up_at = time.monotonic() + _UP_TIMEOUT_S
    while process.poll() is None:
        if _READY_TEXT.encode() in registry.log.read_bytes():
            return
        if time.monotonic() > give_up_at:
            process.terminate()
            raise ReplicaError(f"the replicas are not ready; see {registry.log}")
        time.sleep(0.1)
    lines = registry.log.read_text("utf-8", "replace").strip().splitlines()
    raise ReplicaError((lines or ["the log is empty"])[-1].replace("error: ", "", 1))


def _status(settings: Settings, options: argparse.Namespace) -> int:
    status = Client(Registry(settings)).status()
    if options.json:
        print(json.dumps(status))
    else:
        show(status)
    return 0


def _scale(settings: Settings, options: argparse.Namespace) -> int:
    client = Client(Registry(settings))
    policy: dict[str, Any] = client.status()["policy"]
    given = {name: getattr(options, name) for name in policy}
    policy.update({name: value for name, value in given.items() if value is not None})
    Policy(**policy)  # raises PolicyError for exit status 2; the manager's error would give 1
    show(client.scale(policy))
    return 0


def _stop(settings: Settings, options: argparse.Namespace) -> int:
    Client(Registry(settings)).stop(options.name)
    print(f"{options.name} stops after its current batch")
    return 0


def _kill(settings: Settings, options: argparse.Namespace) -> int:
    status = Client(Registry(settings)).kill(options.name)
    killed = [each["name"] for each in status["replicas"] if each["killed"]]
    print(f"killed {', '.join(killed) or options.name}")
    return 0


def _down(settings: Settings, options: argparse.Namespace) -> int:
    pid = Client(Registry(settings)).leave()
    try:
        psutil.Process(pid).wait(_DOWN_TIMEOUT_S)
    except psutil.NoSuchProcess:
        pass
    except psutil.TimeoutExpired:
        raise ReplicaError(f"process {pid} does not end; kill it") from None
    print("all replicas have stopped")
    return 0


def _print_ready(replica: Replica) -> None:
    ports = replica.entry.ports
    print(
        f"{replica.name} is ready: REST {ports['PREDICTIVE_UNIT_HTTP_SERVICE_PORT']}, "
        f"gRPC {ports['PREDICTIVE_UNIT_GRPC_SERVICE_PORT']}, "
        f"/status on {ports['KAFKA_HTTP_PORT']}, log {replica.entry.log}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
