"""Seldon's own way: a consumer feeds workers that ask Seldon's REST server, message by message.

A reproduction in Python of the Kafka server in Seldon Core v1's executor, which is written in Go
(`executor/api/kafka`; https://docs.seldon.ai/seldon-core-1/configuration/integrations/kafka):
one consumer, a channel as long as there are workers, one request for each message, and offsets
that are committed automatically, answered or not. Seldon's server runs with its own defaults: one
gunicorn worker of the kind that closes each connection, though the client would keep it.
"""

from __future__ import annotations

import http.client
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bench_common import read_settings, say_ready
from confluent_kafka import Consumer, Message, Producer

ROOT = Path(__file__).resolve().parents[3]
WORKERS = 4
stopping = threading.Event()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def seldon_server(port: int) -> Iterator[None]:
    """Seldon's server with our class, once it answers."""
    script = Path(sys.executable).with_name("seldon-core-microservice")
    served = os.environ.get("BENCH_CLASS", "wrapper.KmnistClassifier")
    command = [sys.executable, str(script), served, "--service-type", "MODEL"]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PREDICTIVE_UNIT_HTTP_SERVICE_PORT": str(port),
        "PREDICTIVE_UNIT_GRPC_SERVICE_PORT": str(free_port()),
        "PREDICTIVE_UNIT_METRICS_SERVICE_PORT": str(free_port()),
    }
    with subprocess.Popen(command, env=environment, cwd=ROOT, start_new_session=True) as server:
        try:
            while not stopping.is_set() and not answers(port):
                if server.poll() is not None:
                    raise SystemExit(f"Seldon's server ended with status {server.returncode}")
                time.sleep(0.2)
            yield
        finally:
            server.terminate()
            # It waits for ever for its gRPC server, which nobody tells.
            with suppress(subprocess.TimeoutExpired):
                server.wait(3.0)
            with suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)


def answers(port: int) -> bool:
    """Whether the server does."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ping", timeout=1):
            return True
    except OSError:
        return False


def work(jobs: queue.Queue[Message | None], port: int, producer: Producer, topic: str) -> None:
    """Answer messages until there is a None; drop what the server can't answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    headers = {"Content-Type": "application/json"}
    while (message := jobs.get()) is not None:
        try:
            connection.request("POST", "/api/v1.0/predictions", message.value(), headers)
            response = connection.getresponse()
            body = response.read()
            if response.status != http.HTTPStatus.OK:
                raise http.client.HTTPException(response.status)
        except (OSError, http.client.HTTPException) as error:
            print(f"failed prediction: {error!r}", file=sys.stderr, flush=True)
            connection.close()
        else:
            producer.produce(topic, body, message.key())
            producer.poll(0)


def main() -> None:
    """Answer until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    settings = read_settings()
    if settings.format_name not in ("ndarray", "tensor", "bindata"):
        raise SystemExit(f"Seldon's REST server takes JSON, not {settings.format_name}")
    port = int(os.environ.get("BENCH_REST_PORT") or free_port())
    producer = Producer({"bootstrap.servers": settings.broker})
    consumer = Consumer(
        {
            "bootstrap.servers": settings.broker,
            "group.id": settings.group,
            "auto.offset.reset": "earliest",
            "session.timeout.ms": 6000,
        }
    )
    jobs: queue.Queue[Message | None] = queue.Queue(WORKERS)
    arguments = (jobs, port, producer, settings.replies)
    workers = [threading.Thread(target=work, args=arguments) for _ in range(WORKERS)]
    with seldon_server(port):
        for worker in workers:
            worker.start()
        consumer.subscribe([settings.source], on_assign=lambda *_: say_ready())
        while not stopping.is_set():
            message = consumer.poll(0.1)
            if message is not None and message.error() is None:
                jobs.put(message)
        for _ in workers:
            jobs.put(None)
        for worker in workers:
            worker.join()
    consumer.close()
    producer.flush()


if __name__ == "__main__":
    main()
