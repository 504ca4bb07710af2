"""`make demo`: runs a broker, two replicas of the model, a producer and a consumer.

The demo ends after 600 images, which takes about half a minute with the start of the processes.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from consumer.reader import Reader
from kafka.cluster.address import running_bootstrap
from kafka.cluster.lease import leased
from kafka.cluster.settings import local_settings
from kafka.cluster.state import ClusterError
from kafka.cluster.view import LiveProgress
from kafka.replicas.manager import Manager, ReplicaError
from kafka.replicas.registry import Registry
from kafka.replicas.scaling import Policy
from seldon_kafka.config.clients import consumer_config
from seldon_kafka.config.settings import Settings, SettingsError
from seldon_kafka.messages import WORKER, header
from seldon_kafka.transport.consumed import record_of
from seldon_kafka.transport.snapshot import ReadError

ROOT = Path(__file__).resolve().parents[1]
CLUSTER = ROOT / ".cluster-demo"
REPLICAS = 2
MESSAGES = 600
RATE = 60
"""Messages per second; at this rate, a person can see each image."""

_TIMEOUT_S = 20
# The first answers of a worker are slow. So each worker must answer some messages before the demo
# shows anything. With this number of messages, every partition gets some.
_WARM_UP_MESSAGES = 120
_WARM_UP_S = 10.0


class DemoError(Exception):
    """A step of the demo failed; the text has the output of its process."""


def main() -> int:
    """Runs the demo.

    Returns:
        Exit status: 0 after success, 1 if a step failed, 130 after Ctrl-C or SIGTERM. Without an
            error, the exit status of the consumer.
    """
    console = Console(highlight=False)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with _broker(console) as broker, tempfile.TemporaryDirectory() as folder:
            return _run(console, broker, Path(folder))
    except KeyboardInterrupt:
        console.print("stopped; no process of the demo is left")
        return 130
    except (ClusterError, DemoError, ReadError, ReplicaError, SettingsError) as error:
        Console(stderr=True, highlight=False).print(f"error: {error}", markup=False)
        return 1


@contextmanager
def _broker(console: Console) -> Iterator[str]:
    """Yields the address of a running broker, or of a local broker that ends with the demo."""
    found = os.environ.get("KAFKA_BROKER") or running_bootstrap()
    if found:
        _print_done(console, f"Kafka at {found}")
        yield found
        return
    with ExitStack() as stack:
        with LiveProgress() as progress:
            cluster = stack.enter_context(leased(CLUSTER, progress=progress))
        _print_done(console, f"Apache Kafka at {cluster.bootstrap}, a broker for this demo alone")
        yield cluster.bootstrap


def _run(console: Console, broker: str, folder: Path) -> int:
    environment = {"KAFKA_BROKER": broker, "KAFKA_STATE_DIR": str(folder / "state")}
    all_variables = {**os.environ, **environment}
    settings = local_settings(all_variables)
    _step(["seldon_kafka", "topics", "create"], all_variables)
    _print_done(console, f"topics {settings.input_topic} and {settings.output_topic}")
    manager = Manager(settings, environment, Policy(count=REPLICAS), Registry(settings))
    try:
        manager.__enter__()
        with _bar(console) as bar:
            task = bar.add_task("replicas, started as in the image", total=REPLICAS)
            manager.await_ready(lambda _: bar.advance(task))
        for replica in manager.replicas:
            port = replica.entry.ports["PREDICTIVE_UNIT_HTTP_SERVICE_PORT"]
            _print_done(
                console, f"{replica.name}: process {replica.entry.pid}, REST on port {port}"
            )
        with console.status("warming up the workers"):
            cold = _warm_up(
                settings, all_variables, {f"{each.name}.0" for each in manager.replicas}
            )
        if cold:
            console.print(f"not warmed up: {', '.join(sorted(cold))}")
        return _watch(console, all_variables)
    finally:
        # A second Ctrl-C must not leave processes behind.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with console.status("stopping"):
            manager.__exit__()


def _warm_up(settings: Settings, environment: dict[str, str], workers: set[str]) -> set[str]:
    """Sends images to warm up the workers, and waits for the answers.

    Args:
        settings: brokers and topics.
        environment: environment variables of the producer.
        workers: names of the workers.

    Returns:
        Names of the workers without an answer. They may have no partition, because the group has
        other members.

    Raises:
        DemoError: the producer failed.
        ReadError: the output topic can't be read.
    """
    config = consumer_config(settings, f"demo-{uuid.uuid4().hex}")
    reader = Reader(config, [settings.output_topic])
    cold = set(workers)
    try:
        send = [
            "--samples",
            "--loop",
            "--count",
            str(_WARM_UP_MESSAGES),
            "--rate",
            str(_WARM_UP_MESSAGES),
        ]
        _step(["producer", *send], environment)
        left = _WARM_UP_MESSAGES
        while left > 0 and (messages := reader.read(left, _WARM_UP_S)):
            left -= len(messages)
            for message in messages:
                cold.discard((header(record_of(message).headers, WORKER) or b"").decode())
    finally:
        reader.close()
    return cold


def _watch(console: Console, environment: dict[str, str]) -> int:
    """Sends images and shows the answers.

    Returns:
        Exit status of the consumer.

    Raises:
        DemoError: the producer failed, or the consumer wrote an error.
    """
    command = ["consumer", "--count", str(MESSAGES), "--timeout", str(_TIMEOUT_S)]
    consumer = _start(command, environment, stderr=subprocess.PIPE)
    producer = None
    try:
        assert consumer.stderr is not None
        # The consumer writes a line when it is ready: it misses no message that is sent later.
        consumer.stderr.readline()
        send = ["producer", "--count", str(MESSAGES), "--rate", str(RATE), "--loop"]
        producer = _start(send, environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        status = consumer.wait()
        try:
            sent, _ = producer.communicate(timeout=_TIMEOUT_S)
        except subprocess.TimeoutExpired as late:
            raise DemoError(f"the producer still runs {_TIMEOUT_S} s after the consumer") from late
        output = sent.decode("utf-8", "replace").strip()
        for line in output.splitlines():
            console.print(f"[dim]producer: {line}[/dim]")
        if producer.returncode:
            raise DemoError(f"the producer failed: {output}")
        error = consumer.stderr.read().decode("utf-8", "replace").strip()
        if error:
            raise DemoError(error)
        return status
    finally:
        for process in (producer, consumer):
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGINT)
                process.wait()


def _start(
    command: list[str],
    environment: dict[str, str],
    stdout: int | None = None,
    stderr: int | None = None,
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
    )


def _step(command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if done.returncode:
        raise DemoError((done.stderr or done.stdout).strip())


def _bar(console: Console) -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=console, transient=True)


def _print_done(console: Console, text: str) -> None:
    console.print(f"[green]✓[/green] {text}")


if __name__ == "__main__":
    sys.exit(main())
