"""The wheel in somebody's own folder and environment, on whatever Python and packages they have."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.s2i.conftest import PYTHON38
from tests.support.package_environments import (
    ROOT,
    answers_of,
    differences,
    expected,
    installed,
    run,
    uv,
)
from tests.support.patience import patient, promised
from tests.support.ports import free_port
from tests.support.stream import Stream, assert_once_and_in_order, numbers, wait_until

NewStream = Callable[..., Stream]

PYTHONS = {
    path.parents[1].name: path
    for path in sorted(Path.home().glob(".pyenv/versions/3.*/bin/python"))
    if int(path.parents[1].name.split(".")[1]) >= 8
}
if Path("/usr/bin/python3").exists():
    PYTHONS["Debian"] = Path("/usr/bin/python3")
NEWEST = ["numpy", "protobuf", "pydantic", "kafka-python-ng"]
_LAST_WITH_SELDON = (3, 12)
STOP_S = 6


def clean_environ(**more: str) -> dict[str, str]:
    """This process's environment without its settings and its own packages."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("KAFKA_", "PYTHON")) and name != "MODEL_NAME"
    }
    return {**kept, **more}


def command(environment: Path) -> Path:
    return environment / "bin" / "seldon-kafka"


def assert_checked(environment: Path, app: Path) -> None:
    said = run(
        command(environment), "check", "model.Mine", "--payload", "request.json",
        cwd=app, env=clean_environ(),
    )  # fmt: skip
    assert "the same answers singly and stacked" in said


def assert_served(environment: Path, app: Path, stream: Stream, *, with_rest: bool) -> None:
    """Starts the container's first process, and looks at what it answers."""
    ports = {
        "KAFKA_HTTP_PORT": str(free_port()),
        "PREDICTIVE_UNIT_HTTP_SERVICE_PORT": str(free_port()),
        "PREDICTIVE_UNIT_GRPC_SERVICE_PORT": str(free_port()),
        "PREDICTIVE_UNIT_METRICS_SERVICE_PORT": str(free_port()),
    }
    log = app / "log.txt"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(command(environment)), "serve", "model.Mine"],
            cwd=app,
            env={**clean_environ(), **stream.environ, **ports},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        stream.send(numbers(20))
        assert_once_and_in_order(stream.replies(20), 20)
        if with_rest:
            assert _over_rest(int(ports["PREDICTIVE_UNIT_HTTP_SERVICE_PORT"])) == [[2.0, 4.0]]
        process.send_signal(signal.SIGTERM)
        assert process.wait(promised(STOP_S)) == 0
    except Exception:
        sys.stderr.write(log.read_text("utf-8"))
        raise
    finally:
        process.kill()
        process.wait()
    assert ("no REST and gRPC server" in log.read_text("utf-8")) is not with_rest


def _over_rest(port: int) -> object:
    answers: list[object] = []

    def answered() -> bool:
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/api/v1.0/predictions",
            b'{"data":{"ndarray":[[1,2]]}}',
            {"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=5) as reply:
                answers.append(json.load(reply)["data"]["ndarray"])
        except OSError:
            return False
        return True

    wait_until(answered, 60, "an answer over REST")
    return answers[0]


def test_a_class_beside_the_newest_packages_is_checked_and_served(
    environment: Path, app: Path, new_stream: NewStream
) -> None:
    assert_checked(environment, app)
    assert_served(environment, app, new_stream(), with_rest=False)


def test_answers_beside_the_newest_packages_are_the_same(environment: Path) -> None:
    found = answers_of(environment / "bin" / "python", **clean_environ())
    assert differences(found) == []
    assert sum("value" in outcome for outcomes in expected().values() for outcome in outcomes) > 300


@pytest.mark.skipif(not PYTHON38.exists(), reason="there is no Python 3.8 here")
@pytest.mark.parametrize("implementation", ["python", "cpp"])
def test_answers_with_older_protobuf_and_python_3_8_are_the_same(
    implementation: str, wheel: Path, tmp_path: Path
) -> None:
    run(
        *(sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"),
        *("--target", tmp_path / "site", wheel),
    )
    variables = {
        "PYTHONPATH": str(tmp_path / "site"),
        "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": implementation,
    }
    assert differences(answers_of(PYTHON38, **clean_environ(**variables))) == []


@pytest.mark.full
@pytest.mark.parametrize("order", ["before", "after"])
def test_answers_beside_tensorflow_are_the_same(order: str, tmp_path: Path) -> None:
    imports = ["import tensorflow", "import seldon_kafka.codec.seldon_messages"]
    lines = imports if order == "before" else imports[::-1]
    (tmp_path / "sitecustomize.py").write_text("\n".join(lines) + "\n", "utf-8")
    python = ROOT / ".venv-train" / "bin" / "python"
    found = answers_of(python, **clean_environ(PYTHONPATH=str(tmp_path)))
    assert differences(found) == []


def test_a_class_that_imports_seldon_core_is_told_what_it_needs(
    environment: Path, app: Path
) -> None:
    (app / "theirs.py").write_text(
        "from seldon_core.user_model import SeldonComponent\n\n\n"
        "class Theirs(SeldonComponent):\n    pass\n",
        "utf-8",
    )
    ran = subprocess.run(
        [str(command(environment)), "check", "theirs.Theirs"],
        cwd=app, env=clean_environ(), capture_output=True, text=True, check=False,
        timeout=patient(60),
    )  # fmt: skip
    assert ran.returncode == 2
    (line,) = ran.stderr.splitlines()
    assert "seldon-kafka[seldon]" in line
    assert "numpy below 2" in line


@pytest.mark.full
@pytest.mark.parametrize("name", PYTHONS)
def test_every_python_takes_the_newest_packages(
    name: str, wheel: Path, app: Path, tmp_path: Path, new_stream: NewStream
) -> None:
    environment = installed(tmp_path / "venv", PYTHONS[name], [wheel, *NEWEST])
    assert_checked(environment, app)
    assert_served(environment, app, new_stream(), with_rest=False)
    assert differences(answers_of(environment / "bin" / "python", **clean_environ())) == []


@pytest.mark.full
@pytest.mark.parametrize("name", PYTHONS)
def test_every_python_up_to_3_12_serves_rest_with_seldon_core(
    name: str, wheel: Path, app: Path, tmp_path: Path, new_stream: NewStream
) -> None:
    version = run(PYTHONS[name], "-c", "import sys; print(*sys.version_info[:2])")
    if tuple(map(int, version.split())) > _LAST_WITH_SELDON:
        pytest.skip("seldon-core's pins have no wheels for this Python")
    packages = [f"seldon-kafka[seldon] @ {wheel.as_uri()}", "kafka-python-ng"]
    environment = installed(tmp_path / "venv", PYTHONS[name], packages)
    assert_checked(environment, app)
    assert_served(environment, app, new_stream(), with_rest=True)


@pytest.mark.full
def test_the_oldest_packages_that_are_allowed_give_the_same_answers(
    wheel: Path, tmp_path: Path
) -> None:
    options = ["--resolution", "lowest-direct"]
    environment = installed(tmp_path / "venv", PYTHON38, [*options, wheel])
    assert differences(answers_of(environment / "bin" / "python", **clean_environ())) == []


@pytest.mark.full
def test_python_3_14_resolves(wheel: Path, tmp_path: Path) -> None:
    (tmp_path / "wanted.in").write_text(f"seldon-kafka @ {wheel.as_uri()}\n", "utf-8")
    said = run(
        *(uv(), "pip", "compile", "--quiet", "--python-version", "3.14"),
        *("--only-binary", ":all:", tmp_path / "wanted.in"),
    )
    assert "numpy==" in said
