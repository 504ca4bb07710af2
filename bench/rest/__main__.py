"""Measures REST and gRPC of Seldon's server and of the Docker image's; writes docs/rest.md.

The command is `python -m bench.rest --repetitions 3`. The Docker image's server is the one that
`seldon-kafka serve` starts. Both servers run the same class on this machine. Locust calls REST, and
ghz calls gRPC. Without ghz on the PATH, gRPC is not measured, and the page says so.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import seldon_core

from bench.cluster import BenchError
from bench.environments import make_environment
from bench.facts import facts
from model.marked import with_part
from sdep.s2i_environment import read_environment
from seldon_kafka.config.arguments import positive_integer

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "bench" / "rest"
DOCUMENT = ROOT / "docs" / "rest.md"
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"
ENVIRONMENT = ROOT / ".venv-bench" / "rest"
CLASS = "wrapper.KmnistClassifier"
USERS = 8
_REST, _GRPC, _METRICS, _HTTP = 29000, 29500, 26000, 28080
_READY_S = 60.0
_OURS, _SELDON = "image's first process", "seldon-core-microservice"

_EXAMPLES = """
examples:
  python -m bench.rest                                   two minutes
  python -m bench.rest --repetitions 3 --seconds 20      the figures of docs/rest.md
"""


@dataclass(frozen=True)
class Figure:
    """The result of one run of Locust or ghz.

    Attributes:
        rate: answers a second.
        median_ms: median latency in milliseconds.
        p99_ms: 99th percentile of the latency in milliseconds.
        failed: number of failed requests.
    """

    rate: float
    median_ms: float
    p99_ms: float
    failed: int


def main() -> int:
    """Measures the servers and writes the page.

    Returns:
        0 on success, 1 on an error, 130 after Ctrl-C.
    """
    parser = argparse.ArgumentParser(
        prog="python -m bench.rest",
        description="Measures REST and gRPC.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--repetitions", type=positive_integer, default=1, metavar="N")
    parser.add_argument("--seconds", type=positive_integer, default=10, metavar="S")
    options = parser.parse_args()
    try:
        _measure(options.repetitions, options.seconds)
        return 0
    except BenchError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130


def _measure(repetitions: int, seconds: int) -> None:
    make_environment(ENVIRONMENT, FOLDER / "requirements.txt")
    found: dict[tuple[str, str], list[Figure]] = {}
    for number in range(repetitions):
        for system in (_SELDON, _OURS):
            with _running_server(system):
                for what, figure in _figures(system, seconds):
                    found.setdefault((what, system), []).append(figure)
                    sys.stdout.write(
                        f"[{number + 1}/{repetitions}] {what}, {system}: {figure.rate:,.0f} a "
                        f"second, {figure.median_ms:.0f} ms, {figure.failed} failed\n"
                    )
                    sys.stdout.flush()
    _write(found, repetitions, seconds)


def _figures(system: str, seconds: int) -> Iterator[tuple[str, Figure]]:
    yield "REST", _locust(f"http://127.0.0.1:{_REST}", "seldon", seconds)
    if system == _OURS:
        yield "REST, Open Inference (V2)", _locust(f"http://127.0.0.1:{_HTTP}", "v2", seconds)
    if shutil.which("ghz"):
        yield "gRPC", _ghz(f"127.0.0.1:{_GRPC}", seconds)


@contextmanager
def _running_server(system: str) -> Iterator[None]:
    environment = {key: each for key, each in os.environ.items() if not key.startswith("KAFKA_")}
    environment.update(
        PREDICTIVE_UNIT_HTTP_SERVICE_PORT=str(_REST),
        PREDICTIVE_UNIT_GRPC_SERVICE_PORT=str(_GRPC),
        PREDICTIVE_UNIT_METRICS_SERVICE_PORT=str(_METRICS),
        # The overlays give the class this name in the inference graph.
        PREDICTIVE_UNIT_ID="classifier",
    )
    if system == _OURS:
        environment.update(read_environment(ROOT), KAFKA_HTTP_HOST="127.0.0.1")
        environment["KAFKA_HTTP_PORT"] = str(_HTTP)
        command = [sys.executable, "-m", "seldon_kafka", "serve"]
    else:
        script = Path(sys.executable).with_name(_SELDON)
        command = [sys.executable, str(script), CLASS, "--service-type", "MODEL"]
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
        )
        try:
            _wait_for_answer(server)
            yield
        finally:
            # The whole process group gets SIGTERM, because the parent process of Seldon's server
            # does not forward signals.
            os.killpg(server.pid, 15)
            try:
                server.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, 9)
                server.wait()


def _wait_for_answer(server: subprocess.Popen[bytes]) -> None:
    give_up_at = time.monotonic() + _READY_S
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{_REST}/health/ping", timeout=5):
                return
        except OSError as error:
            if server.poll() is not None or time.monotonic() > give_up_at:
                raise BenchError(f"the server does not answer: {error}") from error
            time.sleep(0.2)


def _locust(host: str, tag: str, seconds: int) -> Figure:
    with tempfile.TemporaryDirectory() as folder:
        ran = subprocess.run(
            [
                str(ENVIRONMENT / "bin" / "locust"), "-f", str(FOLDER / "locustfile.py"),
                "--host", host, "--tags", tag, "--headless", "--users", str(USERS),
                "--spawn-rate", str(USERS), "--run-time", f"{seconds}s", "--csv", f"{folder}/run",
                "--only-summary",
            ],
            capture_output=True,
            text=True,
            timeout=seconds + 60,
        )  # fmt: skip
        path = Path(folder) / "run_stats.csv"
        if not path.exists():
            raise BenchError(f"Locust failed: {ran.stderr[-500:]}")
        rows = list(csv.DictReader(path.open(encoding="utf-8")))
    total = next(row for row in rows if row["Name"] == "Aggregated")
    return Figure(
        float(total["Requests/s"]),
        float(total["50%"]),
        float(total["99%"]),
        int(total["Failure Count"]),
    )


def _ghz(address: str, seconds: int) -> Figure:
    protos = Path(seldon_core.__file__).parent / "proto"
    ran = subprocess.run(
        [
            "ghz", "--config", str(FOLDER / "ghz.json"),
            "--proto", str(protos / "prediction.proto"), "--import-paths", str(protos),
            "--duration", f"{seconds}s", "--format", "json",
            "--insecure", "--concurrency", str(USERS), "--connections", str(USERS), address,
        ],
        capture_output=True,
        text=True,
        timeout=seconds + 60,
    )  # fmt: skip
    if ran.returncode:
        raise BenchError(f"ghz failed: {ran.stderr[-500:]}")
    result = json.loads(ran.stdout)
    percentiles = result["latencyDistribution"]
    latencies = {each["percentage"]: each["latency"] / 1e6 for each in percentiles}
    answered = result.get("statusCodeDistribution", {}).get("OK", 0)
    return Figure(result["rps"], latencies[50], latencies[99], result["count"] - answered)


def _write(found: Mapping[tuple[str, str], list[Figure]], repetitions: int, seconds: int) -> None:
    known = facts()
    lines = [
        f"Measured on {known['date']} at {known['revision']}, {known['cores']} cores of "
        f"{known['processor']} shared by server and load, Python {known['python']}, {USERS} "
        f"users, {repetitions} runs of {seconds} s each; minimum / **median** / maximum.",
        "",
        "| | server | answers a second | median latency | 99 % | failed |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for (what, system), figures in sorted(found.items()):
        rates = sorted(figure.rate for figure in figures)
        middle = statistics.median(figure.median_ms for figure in figures)
        worst = statistics.median(figure.p99_ms for figure in figures)
        lines.append(
            f"| {what} | {system} | {rates[0]:,.0f} / **{statistics.median(rates):,.0f}** / "
            f"{rates[-1]:,.0f} | {middle:.1f} ms | {worst:.1f} ms | "
            f"{sum(figure.failed for figure in figures)} |"
        )
    if not shutil.which("ghz"):
        lines += ["", "gRPC was not measured, because ghz is not installed."]
    text = DOCUMENT.read_text("utf-8")
    DOCUMENT.write_text(with_part(text, BEGIN, END, "\n".join(lines)), "utf-8")


if __name__ == "__main__":
    sys.exit(main())
