"""Seldon's own design: a consumer feeds workers that call Seldon's REST server for each message.

The peer reproduces the Kafka server in Seldon Core v1's executor, which is written in Go
(`executor/api/kafka`; https://docs.seldon.ai/seldon-core-1/configuration/integrations/kafka). One
consumer fills a queue that holds as many messages as there are workers. Each message is one
request. Offsets are committed automatically, even for unanswered messages. Seldon's server has its
defaults: one gunicorn worker, which closes the connection after each request.
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

from bench_common import read_settings, report_ready
from confluent_kafka import Consumer, Message, Producer

ROOT = Path(__file__).resolve().parents[3]
WORKERS = 4
stopping = threading.Event()


def free_port() -> int:
    """Returns a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def seldon_server(port: int) -> Iterator[None]:
    """Runs Seldon's server with the user model, and waits until it answers."""
    script = Path(sys.executable).with_name("seldon-core-microservice")
    user_model = os.environ.get("BENCH_CLASS", "wrapper.KmnistClassifier")
    command = [sys.executable, str(script), user_model, "--service-type", "MODEL"]
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
            # The process group is killed, because the server never ends by itself: it waits for its
            # gRPC process, which gets no signal.
            with suppress(subprocess.TimeoutExpired):
                server.wait(3.0)
            with suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)


def answers(port: int) -> bool:
    """Returns whether Seldon's server answers on this port."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ping", timeout=1):
            return True
    except OSError:
        return False


def work(jobs: queue.Queue[Message | None], port: int, producer: Producer, topic: str) -> None:
    """Answers messages from a queue until it yields None; drops messages of failed requests.

    Args:
        jobs: queue of messages.
        port: port of Seldon's server.
        producer: producer of the replies.
        topic: topic of the replies.
    """
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
    """Answers messages until SIGTERM."""
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
        consumer.subscribe([settings.source], on_assign=lambda *_: report_ready())
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
