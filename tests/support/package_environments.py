"""Fresh environments with the wheel in them, and the answers that they give."""

from __future__ import annotations

import base64
import functools
import json
import math
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import google.protobuf
from google.protobuf import json_format
from seldon_core.proto.prediction_pb2 import SeldonMessage

from tests.compatibility.payloads import PAYLOADS
from tests.support.patience import patient

ROOT = Path(__file__).resolve().parents[2]
BESIDE = ROOT / ".venv-beside"
ANSWERS = ROOT / "tests" / "package" / "answers.py"

_FLOAT = 1e-6


def run(*command: str | Path, cwd: Path | None = None, **options: Any) -> str:
    """What a command prints.

    Raises:
        AssertionError: it failed; the message has what it said.
    """
    ran = subprocess.run(
        [*map(str, command)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=patient(300),
        **options,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return str(ran.stdout)


def build(folder: Path, target: str = "wheel") -> Path:
    """Builds the package as `make wheel` does, without an index."""
    run(
        sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", folder,
        cwd=ROOT,
    )  # fmt: skip
    (built,) = folder.glob("*.whl" if target == "wheel" else "*.tar.gz")
    return built


def with_prepared_packages(folder: Path, wheel: Path) -> Path:
    """An environment with the wheel and what `.venv-beside` has; no index is asked."""
    run(BESIDE / "bin" / "python", "-m", "venv", folder)
    (prepared,) = (BESIDE / "lib").glob("python3.*/site-packages")
    (site,) = (folder / "lib").glob("python3.*/site-packages")
    (site / "prepared.pth").write_text(f"{prepared}\n", "utf-8")
    python = folder / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", wheel)
    return folder


def uv() -> Path:
    """The uv that installed this environment."""
    return Path(run(ROOT / "environment.sh", "--uv", sys.executable).strip())


def installed(folder: Path, python: Path, packages: Sequence[str | Path]) -> Path:
    """An environment of a Python with packages from the index."""
    run(uv(), "venv", "--quiet", "--python", python, folder)
    run(uv(), "pip", "install", "--quiet", "--python", folder / "bin" / "python", *packages)
    return folder


@functools.lru_cache(maxsize=1)
def messages() -> str:
    """The messages of the compatibility tests, as `answers.py` reads them."""
    return json.dumps(
        [
            {
                "value": None if payload.value is None else _text(payload.value),
                "headers": [[name, _text(value or b"")] for name, value in payload.headers],
            }
            for payload in PAYLOADS
        ]
    )


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def answers_of(python: str | Path, **environ: str) -> dict[str, list[dict[str, Any]]]:
    """What a Python answers to all messages, by the name of the class."""
    said = run(python, ANSWERS, input=messages(), env=environ or None)
    found: dict[str, list[dict[str, Any]]] = json.loads(said)
    return found


@functools.lru_cache(maxsize=1)
def expected() -> dict[str, list[dict[str, Any]]]:
    """What this environment answers, which the compatibility tests hold to be Seldon's."""
    assert google.protobuf.__version__.startswith("3.20.")
    return answers_of(sys.executable)


def differences(found: dict[str, list[dict[str, Any]]]) -> list[str]:
    """How answers differ from the expected ones: by class and message."""
    differ = []
    for model, outcomes in expected().items():
        for payload, wanted, outcome in zip(PAYLOADS, outcomes, found[model], strict=True):
            if not _alike(_read(wanted), _read(outcome)):
                differ.append(f"{model}, {payload.name}: {_read(wanted)} and {_read(outcome)}")
    return differ


def _read(outcome: dict[str, Any]) -> Any:
    """An outcome with its value parsed: the order of maps in protobuf is free."""
    if "value" not in outcome:
        return outcome
    value = base64.b64decode(outcome["value"])
    if dict(outcome["headers"]).get("proto-name"):
        return json_format.MessageToDict(SeldonMessage.FromString(value)), outcome["headers"]
    return json.loads(value), outcome["headers"]


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=_FLOAT, abs_tol=_FLOAT)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_alike(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(_alike, one, other))
    return type(one) is type(other) and bool(one == other)
